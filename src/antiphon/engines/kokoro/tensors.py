"""Tensors: where Kokoro's graph is cut into an encoder (phonemes to frames of 25 ms) and a decoder (to samples)."""

#: What is said (1, 512, frames), pitch in Hz and energy (1, 2 × frames).
FRAMES, PITCH, ENERGY = "/encoder/MatMul_1_output_0", "/encoder/Reshape_output_0", "/encoder/Reshape_1_output_0"
