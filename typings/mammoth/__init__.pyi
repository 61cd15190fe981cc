from collections.abc import Callable
from typing import BinaryIO

from . import images as images

class Result:
    value: str

def convert_to_html(
    fileobj: BinaryIO,
    *,
    convert_image: Callable[..., object] = ...,
    include_embedded_style_map: bool = ...,
    external_file_access: bool = ...,
) -> Result: ...
