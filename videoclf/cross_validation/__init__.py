"""Cross-validation: trains and tests on every fold, one group or official list at a time as the test part."""
