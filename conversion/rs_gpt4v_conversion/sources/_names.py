"""Names of image files as annotations give them."""


def image_name_flaw(name: object) -> str:
    """What is wrong with the name of an image file, or an empty string.

    A name comes from outside and becomes part of a path and of an id: it must be a plain file name.
    """
    if not isinstance(name, str) or not name.strip():
        return "image without a name"
    if "/" in name or "\\" in name or name in (".", "..") or "\0" in name:
        return "image name leaves its folder"
    if not _is_unicode(name):
        return "image name is not Unicode"
    return ""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON may hold half of a surrogate pair
        return False
    return True
