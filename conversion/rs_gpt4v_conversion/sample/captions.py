"""Sentences about the scenes, plain as in caption datasets: lower case, without a full stop."""

import numpy as np

from rs_gpt4v_conversion.sample.scene import Scene

SENTENCES: dict[str, tuple[str, ...]] = {
    "airport": (
        "{planes} planes are parked on a grey apron in front of a terminal",
        "{planes} white planes stand near a long building of the airport",
        "there are {planes} planes between the terminal and the runway",
        "a straight runway with a dashed line runs below the apron",
        "an airport with {planes} planes and yellow taxi lines",
        "a strip of grass lies between the parked planes and the runway",
    ),
    "farmland": (
        "a narrow track crosses {first} and {second} fields",
        "many {first} fields lie side by side with some {second} ones",
        "the farmland is cut into plots of {first} and {second}",
        "a row of trees follows the dirt road through the farmland",
        "furrows can be seen in the {first} and {second} plots",
        "pieces of farmland on both sides of a pale track",
    ),
    "residential": (
        "many houses with {roof} roofs stand in rows along {roads}",
        "a quiet neighbourhood where most roofs are {roof}",
        "{roads} with some cars and houses on both sides",
        "houses with {roof} roofs and small gardens with green trees",
        "rows of similar houses are connected with {roads} by drives",
        "green trees stand behind the houses of this residential area",
    ),
    "port": (
        "{ships} ships are in the {water} water of a port",
        "colourful containers are stacked on a pale quay",
        "some ships are moored at the quay and others leave the port",
        "{ships} ships near a quay full of containers",
        "white wakes follow the ships in the {water} water",
        "a straight quay separates the containers from the {water} water",
    ),
    "tennis": (
        "{courts} {surface} tennis courts lie beside a road",
        "{courts} tennis courts with white lines are surrounded by trees",
        "there are {courts} tennis courts and some cars on the road",
        "some {surface} tennis courts on a grey ground",
        "a road with cars runs below {courts} {surface} courts",
        "rows of trees enclose the {surface} tennis courts",
    ),
    "forest": (
        "{feature} in a dense dark green forest",
        "the crowns of many trees leave only {feature} open",
        "many green trees stand close together",
        "there is {feature} among the trees of this forest",
        "a thick forest surrounds {feature}",
    ),
    "bridge": (
        "a straight bridge crosses a river of {water} water",
        "{cars} cars drive on the bridge over the {water} river",
        "green trees grow on both banks below the bridge",
        "a road with {cars} cars leads over a wide river",
        "the bridge throws a shadow on the {water} water",
    ),
    "parking": (
        "many cars are parked in rows in front of a {roof} roof",
        "a parking lot with white lines and many cars",
        "lines of cars of several colours on a grey parking lot",
        "a few trees stand between the rows of parked cars",
        "a long building with a {roof} roof borders the parking lot",
        "the parking lot is not full and many cars are in it",
    ),
    "tanks": (
        "{tanks} white storage tanks stand beside a road",
        "{tanks} round tanks are connected to pipes on bare ground",
        "there are {tanks} storage tanks of similar size",
        "{tanks} white tanks throw round shadows on the pale ground",
        "a grey road passes {tanks} storage tanks",
    ),
    "beach": (
        "white foam lies between the {water} sea and a yellow beach",
        "{umbrellas} umbrellas stand on the sand near the {water} water",
        "a row of green trees grows behind the beach",
        "the {water} sea reaches a curved beach",
        "sand, grass and trees on one side and {water} water on the other",
    ),
    "baseball": (
        "a baseball field with a striped green lawn",
        "a baseball diamond with {stands} beside it",
        "there is a fan shaped baseball field among green trees",
        "trees stand in two rows beside the baseball field",
        "brown sand surrounds the lawn of a baseball field near {stands}",
    ),
    "pond": (
        "a pond of {water} water with an island in a park",
        "a pale path leads around the {water} pond",
        "many trees stand on the grass around a pond",
        "there is a small island with trees in the {water} pond",
        "the park has a round path and a pond",
    ),
}  # fmt: skip
"""By theme; gaps are filled with the words of the scene."""

CAPTIONS = 5
"""Every image of these datasets has so many, if need be by repeating some."""


def distinct_captions(scene: Scene, count: int, rng: np.random.Generator) -> list[str]:
    """Up to so many different sentences about a scene, in lower case and without a full stop."""
    sentences = SENTENCES[scene.theme]
    chosen = rng.permutation(len(sentences))[:count]
    return [sentences[int(i)].format_map(scene.words) for i in chosen]


def padded_captions(scene: Scene, rng: np.random.Generator) -> list[str]:
    """Five sentences about a scene, often with repetitions, as annotators leave them."""
    different = int(rng.choice([1, 2, 3, 4, 5], p=[0.3, 0.2, 0.2, 0.15, 0.15]))
    sentences = distinct_captions(scene, different, rng)
    repeated = rng.integers(0, len(sentences), CAPTIONS - len(sentences))
    return [*sentences, *(sentences[int(i)] for i in repeated)]


def capitalised(sentence: str) -> str:
    """The sentence with a capital at its head."""
    return sentence[:1].upper() + sentence[1:]
