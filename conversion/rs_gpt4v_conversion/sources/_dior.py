"""What DIOR, DIOR-R and DIOR-RSVG have in common: the names of 20 categories and the parts of the image list.

The sets share their images, 23,463 of 800x800 pixels, and their ids: 00001 to 11725 are DIOR's part for training and
validation, 11726 to 23463 its test part.
"""

CATEGORIES: dict[str, str] = {
    "airplane": "airplane",
    "airport": "airport",
    "baseballfield": "baseball field",
    "basketballcourt": "basketball court",
    "bridge": "bridge",
    "chimney": "chimney",
    "dam": "dam",
    "Expressway-Service-area": "expressway service area",
    "Expressway-toll-station": "expressway toll station",
    "golffield": "golf field",
    "groundtrackfield": "ground track field",
    "harbor": "harbor",
    "overpass": "overpass",
    "ship": "ship",
    "stadium": "stadium",
    "storagetank": "storage tank",
    "tenniscourt": "tennis court",
    "trainstation": "train station",
    "vehicle": "vehicle",
    "windmill": "windmill",
    # copies of the annotations without capitals, and the word that DIOR's paper has where its files, and DIOR-RSVG's
    # sentences, have golf field
    "expressway-service-area": "expressway service area",
    "expressway-toll-station": "expressway toll station",
    "golfcourse": "golf field",
}
"""Our words by the spellings in the annotation files: DIOR's own 20 first."""

SEARCHED = tuple(dict.fromkeys(CATEGORIES.values()))
"""Our words, one a category."""

LAST_TRAINVAL, LAST_TEST = 11725, 23463
"""The last ids of the two parts; the test part begins after the first of them."""
