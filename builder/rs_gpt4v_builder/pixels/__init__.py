"""From an image file to 336 x 336 pixels as CLIP wants them, on the CPU or on a GPU.

clip    what CLIP takes: size, colours, how values are normalised
decode  an image in any form -> its pixels
resize  pixels -> 336 x 336 on the CPU, quickly or to the bit
images  an image in any form -> 336 x 336 pixels as CLIP wants them
device  normalising and resizing on the GPU
nvjpeg  decoding on the GPU
"""
