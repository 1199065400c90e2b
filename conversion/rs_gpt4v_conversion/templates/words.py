"""Category names in sentences: their plurals and articles."""

_PLURALS = {
    "person": "people", "aircraft": "aircraft", "hovercraft": "hovercraft", "warcraft": "warcraft",
}  # fmt: skip
"""What the rule below does not give, by the last words of a name."""


def plural(category: str) -> str:
    """The plural of a category: `storage tank` gives `storage tanks`."""
    for one, many in _PLURALS.items():
        if category == one or category.endswith(f" {one}"):
            return category.removesuffix(one) + many
    if category.endswith(("s", "x", "ch", "sh")):
        return f"{category}es"
    if category.endswith("y") and category[-2:-1] not in ("a", "e", "i", "o", "u"):
        return f"{category[:-1]}ies"
    return f"{category}s"


def with_article(category: str) -> str:
    """The category with its indefinite article: `an airplane`."""
    return f"{'an' if category[:1].lower() in ('a', 'e', 'i', 'o') else 'a'} {category}"
