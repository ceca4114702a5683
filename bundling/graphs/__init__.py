"""A registered estimator as ONNX graphs shaped for serving."""
