"""The engines that run a network on frames: torch, exported models (OpenVINO, ONNX Runtime), and CUDA."""
