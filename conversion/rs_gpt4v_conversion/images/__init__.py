"""From a source's image file to the bytes in a release.

loading      the way: pass through, cut, reduce, stretch
decoding     which formats are read, headers, proof that a file is whole
orientation  taken out of JPEG and PNG without re-encoding
rasters      windows of large images, the last one kept open; vips.py is libvips, asked for only then
stretching   bands of a sensor as eight-bit colours
tiff         tags of any TIFF; georeference.py reads the place on Earth from them
encoding     pixels as PNG or JPEG, and reduced
pixels       digests of decoded pixels: the same picture in another file
"""

from rs_gpt4v_conversion.images.decoding import ImageFlaw
from rs_gpt4v_conversion.images.loading import ReleaseImage, convert, expected_bytes, load_image, needs_vips

__all__ = ["ImageFlaw", "ReleaseImage", "convert", "expected_bytes", "load_image", "needs_vips"]
