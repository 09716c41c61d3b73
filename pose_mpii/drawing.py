"""Drawn people for the generated sample: jointed figures in 3D, in random poses, clothes and surroundings.

A person is drawn from far to near, so that limbs hide each other as in a photograph. Left and right can be told from
the picture: most people look to the viewer, and who is seen from behind has no face and often a rucksack.
"""
from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

from pose_mpii.skeleton import HEAD, NECK, PELVIS, THORAX

# The joints of the (right, left) side.
ANKLES, KNEES, HIPS, SHOULDERS, ELBOWS, WRISTS = [0, 5], [1, 4], [2, 3], [12, 13], [11, 14], [10, 15]
SIDES = np.array([-1., 1.])

# Lengths as fractions of the standing height; the head is a little larger than life, to show the face in small inputs.
HIP, SHOULDER, SPINE, NECK_BASE, HEAD_LENGTH = 0.055, 0.105, 0.27, 0.035, 0.18
LEG_BONES, ARM_BONES = (0.24, 0.235), (0.165, 0.145)

# Ranges in degrees: spread (outwards) and swing (forwards) of the upper bone, then of the lower one; 0 hangs down.
HANGING = (5, 25), (-20, 20), (0, 20), (0, 35)
ARM_POSES = np.array([*[HANGING] * 4,
                      ((35, 55), (-25, 0), (-55, -30), (0, 25)),          # hand on the hip
                      ((115, 160), (-20, 10), (130, 185), (-20, 10)),     # raised
                      ((70, 105), (-10, 20), (130, 190), (-20, 20)),      # waving
                      ((55, 100), (-15, 15), (50, 110), (-15, 25)),       # held out
                      ((10, 35), (0, 30), (-60, 10), (50, 130))])         # across the body
STANDING = (1, 12), (-6, 8), (0, 8), (-12, 4)
SEATED = (4, 28), (60, 90), (-6, 10), (-15, 10)
WALKING = ((0, 8), (10, 30), (0, 6), (-8, 18)), ((0, 8), (-25, -8), (0, 6), (-50, -15))
LUNGING = ((25, 50), (0, 20), (-8, 12), (-10, 10)), ((20, 40), (-8, 5), (20, 40), (-12, 5))
KNEE_RAISED = ((5, 40), (35, 75), (-10, 10), (-25, 5)), STANDING
LEG_POSES = np.array([(SEATED, SEATED), *[(STANDING, STANDING)] * 4, WALKING, WALKING, LUNGING, KNEE_RAISED])

TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
CIRCLE = np.stack([np.cos(TURN), np.sin(TURN)], axis=1)
SUBPIXEL_BITS = 4                         # cv2 draws at multiples of 1/16 pixel


def uniform(rng, ranges) -> np.ndarray:
    """Random numbers (...) from the ranges (..., 2) of low and high."""
    ranges = np.asarray(ranges)
    low, high = ranges[..., 0], ranges[..., 1]
    return low + (high - low) * rng.random(low.shape)


def rotation(x, y, z) -> np.ndarray:
    """The 3 x 3 matrix that turns by y degrees about the y axis, then by x about x, then by z about z."""
    (cos_x, cos_y, cos_z), (sin_x, sin_y, sin_z) = np.cos(np.radians((x, y, z))), np.sin(np.radians((x, y, z)))
    return (np.array([(cos_z, -sin_z, 0), (sin_z, cos_z, 0), (0, 0, 1)])
            @ np.array([(1, 0, 0), (0, cos_x, -sin_x), (0, sin_x, cos_x)])
            @ np.array([(cos_y, 0, sin_y), (0, 1, 0), (-sin_y, 0, cos_y)]))


def bones(angles, lengths) -> np.ndarray:
    """The (upper, lower) bones (2, 2, 3) of both sides, from angles (2, 4) as in ARM_POSES."""
    spread, swing = np.radians(angles).reshape(2, 2, 2).transpose(2, 0, 1)
    down = np.cos(spread)
    vectors = np.stack([SIDES[:, None] * np.sin(spread), down * np.cos(swing), down * np.sin(swing)], axis=-1)
    return (vectors * np.reshape(lengths, (2, 1))).transpose(1, 0, 2)


class Body:
    """A posed person of standing height 1, pelvis at 0: x to the right of the picture, y down, z towards the viewer.

    joints (16, 3) in MPII's order; hands, heels and toes (2, 3) of the right and left side; `face` (3,), the
    direction of the eyes; `seated`.
    """

    def __init__(self, rng):
        spine, legs, arms, hips, shoulders = uniform(rng, [(0.92, 1.08)] * 3 + [(0.9, 1.15)] * 2)
        chest = rotation(*uniform(rng, ((-16, 4), (-18, 18), (-12, 12))))
        skull = chest @ rotation(*uniform(rng, ((-14, 10), (-30, 30), (-14, 14))))
        leg_pose = rng.integers(len(LEG_POSES))
        arm_poses = rng.integers(len(ARM_POSES), size=2)
        if rng.random() < 0.4:
            arm_poses[1] = arm_poses[0]
        thigh, shin = bones(uniform(rng, LEG_POSES[leg_pose][::rng.choice((-1, 1))]), LEG_BONES) * legs
        upper_arm, forearm = bones(uniform(rng, ARM_POSES[arm_poses]), ARM_BONES) @ chest.T * arms

        joints = np.zeros((16, 3))
        joints[HIPS] = np.outer(SIDES, (HIP * hips, 0, 0))
        joints[KNEES] = joints[HIPS] + thigh
        joints[ANKLES] = joints[KNEES] + shin
        joints[THORAX] = chest @ (0, -SPINE * spine, 0)
        joints[SHOULDERS] = joints[THORAX] + np.outer(SIDES, chest @ (SHOULDER * shoulders, 0, 0))
        joints[ELBOWS] = joints[SHOULDERS] + upper_arm
        joints[WRISTS] = joints[ELBOWS] + forearm
        joints[NECK] = joints[THORAX] + chest @ (0, -NECK_BASE, 0)
        joints[HEAD] = joints[NECK] + skull @ (0, -HEAD_LENGTH, 0)
        heels = joints[ANKLES] + (0, 0.022, 0)
        toes = heels + np.outer(SIDES, (0.03, 0, 0)) + (0, 0.008, 0.07)

        behind = rng.random() < 0.1
        height, turn, roll = uniform(rng, ((0, 14), (-25, 25), (-12, 12)))
        view = rotation(-height, turn + 180 * behind, roll)
        self.joints, self.heels, self.toes = joints @ view.T, heels @ view.T, toes @ view.T
        self.hands = (joints[WRISTS] + 0.25 * forearm) @ view.T
        self.face = view @ skull @ (0, 0, 1)
        self.seated = leg_pose == 0


class Part(NamedTuple):
    """A convex shape around discs; colours are BGR."""

    depth: float                              # parts with a larger one are drawn later
    colour: Tuple[float, float, float]        # of its inside
    discs: list                               # of (x, y, radius)
    edge: Optional[Tuple[float, float, float]]     # its colour, None: no edge
    light: Optional[Tuple[float, float, float]]    # the colour of the light on it, None: flat


def part(depth, colour, *discs, edge=True, lit=False) -> Part:
    """The `Part` around discs (point, radius)."""
    blue, green, red = colour
    return Part(depth, (blue, green, red), [(point[0], point[1], radius) for point, radius in discs],
                (0.6 * blue, 0.6 * green, 0.6 * red) if edge else None,
                (0.85 * blue + 35, 0.85 * green + 35, 0.85 * red + 35) if lit else None)


def paint(canvas, parts, scale, origin=(0., 0.)):
    """Draw `parts`, in their order, on `canvas` (H, W, 3) in place; a point p lies at pixel p * scale + origin."""
    discs = np.array([disc for shape in parts for disc in shape.discs])
    middles, radii = discs[:, None, :2] * scale + origin, discs[:, None, 2:] * scale
    outlines, lights = (np.rint(points * 2 ** SUBPIXEL_BITS).astype(np.int32) for points in
                        (middles + radii * CIRCLE, middles + radii * (CIRCLE / 2 - (0.3, 0.2))))
    first = 0
    for _, colour, discs, edge, light in parts:
        own = slice(first, first + len(discs))
        first = own.stop
        outline = cv2.convexHull(outlines[own].reshape(-1, 2))
        cv2.fillConvexPoly(canvas, outline, colour, cv2.LINE_AA, SUBPIXEL_BITS)
        if edge:
            cv2.polylines(canvas, [outline], True, edge, 1, cv2.LINE_AA, SUBPIXEL_BITS)
        if light:
            cv2.fillConvexPoly(canvas, cv2.convexHull(lights[own].reshape(-1, 2)), light, cv2.LINE_AA, SUBPIXEL_BITS)


def any_colour(rng, strength=0.8) -> np.ndarray:
    """A random colour (BGR), from grey (strength 0) to vivid (1)."""
    colour = 20 + 220 * rng.random(3)
    return strength * colour + (1 - strength) * colour[0]


def trunk_parts(rng, joints, shirt, trousers) -> list:
    """Hips, waist and chest; some shirts have stripes."""
    depth = (joints[PELVIS, 2] + joints[THORAX, 2]) / 2
    hips = joints[HIPS]
    chest = 0.8 * joints[SHOULDERS] + 0.2 * joints[THORAX]
    waist = 0.35 * joints[SHOULDERS] + 0.65 * hips
    belt = 0.2 * waist + 0.8 * hips
    parts = [part(depth, trousers, (hips[0], 0.05), (hips[1], 0.05), (waist[0], 0.035), (waist[1], 0.035)),
             part(depth, shirt, *((point, 0.043) for point in (*chest, *waist, *belt)))]
    if rng.random() < 0.35:
        stripe = any_colour(rng)
        for share in np.linspace(0.1, 0.9, rng.integers(3, 6)):
            left, right = (1 - share) * chest + share * waist
            parts.append(part(depth, stripe, (left, 0.01), (right, 0.01), edge=False))
    if hips[1, 0] < hips[0, 0] and rng.random() < 0.7:   # the left is on the left: seen from behind, with a rucksack
        bag = (0.9 * chest + 0.1 * waist, 0.4 * chest + 0.6 * waist)
        parts.append(part(depth, any_colour(rng, 1), *((point, 0.025) for row in bag for point in row), lit=True))
    return parts


def head_parts(rng, body, skin, hair) -> list:
    """Neck and head; the face of who looks to the viewer is shifted to the side that is looked to."""
    neck, top = body.joints[[NECK, HEAD], :2]
    length = np.hypot(*(top - neck))
    up = (top - neck) / length
    across = np.array([-up[1], up[0]])
    radius = rng.uniform(0.058, 0.066)
    crown, chin = top - up * radius, neck + up * (0.26 * length + 0.03)
    depth, seen = body.joints[HEAD, 2] + 0.03, body.face[2] > 0
    parts = [part(depth - 0.02, skin, (body.joints[THORAX], 0.034), (chin, 0.032))]
    if rng.random() < 0.3:                # long hair falls behind the neck
        parts.append(part(depth - 0.03 if seen else depth, hair, (crown, radius), (neck, 0.06)))
    parts.append(part(depth, hair, (crown, radius), (chin if not seen else 0.5 * (crown + chin), 0.8 * radius)))
    if seen:
        gaze = body.face[:2] * 0.5 * radius
        brow, mouth, eyes = crown - up * 0.016 + gaze, chin + gaze, across * 0.4 * radius * body.face[2]
        parts += [part(depth, skin, (brow, 0.8 * radius), (chin + 0.6 * gaze, 0.62 * radius)),
                  part(depth, (60, 60, 150), (mouth - 0.5 * eyes, 0.004), (mouth + 0.5 * eyes, 0.004), edge=False),
                  part(depth, (30, 30, 30), (brow + 0.3 * gaze - eyes, 0.006), edge=False),
                  part(depth, (30, 30, 30), (brow + 0.3 * gaze + eyes, 0.006), edge=False)]
    if rng.random() < 0.2:                # a cap
        brim, ear = crown + up * 0.01, across * 0.056
        parts.append(part(depth, any_colour(rng), (top - up * 0.04, 0.04), (brim - ear, 0.006), (brim + ear, 0.006)))
    return parts


def limb_parts(skin, cloth, sleeve, points, radii) -> list:
    """A leg or arm through `points` (3, 3); cloth covers `sleeve` of its two bones (0.5: half of the upper one)."""
    parts = []
    for bone in (0, 1):
        start, end = points[bone], points[bone + 1]
        wide, narrow = radii[bone], radii[bone + 1]
        depth = (start[2] + end[2]) / 2 + 0.02          # before the trunk that it touches
        covered = min(max(sleeve - bone, 0), 1)
        if covered < 1:
            parts.append(part(depth, skin, (start, wide), (end, narrow), lit=True))
        if covered > 0:
            cut = start + covered * (end - start)
            hem = 1.15 * (wide + covered * (narrow - wide))
            parts.append(part(depth, cloth, (start, 1.1 * wide), (cut, hem), lit=True))
    return parts


def person_parts(rng, body) -> list:
    """The parts of a dressed `Body`, the farthest first."""
    skin = np.array([190, 212, 242]) * rng.uniform(0.45, 1) * (rng.uniform(0.85, 1), 0.97, 1)
    hair = np.array([60, 100, 140]) * rng.uniform(0.1, 0.9) * (rng.uniform(0.5, 1), 1, 1)
    shirt, trousers, shoes = (any_colour(rng, 1) for _ in range(3))
    sleeve, leg_sleeve = (0.5, 1, 2, 2)[rng.integers(4)], (0.7, 2, 2)[rng.integers(3)]
    stout = rng.uniform(0.9, 1.15)
    parts = trunk_parts(rng, body.joints, shirt, trousers) + head_parts(rng, body, skin, hair)
    for side in (0, 1):
        leg = body.joints[[HIPS[side], KNEES[side], ANKLES[side]]]
        arm = body.joints[[SHOULDERS[side], ELBOWS[side], WRISTS[side]]]
        parts += limb_parts(skin, trousers, leg_sleeve, leg, (0.055 * stout, 0.043 * stout, 0.032 * stout))
        parts += limb_parts(skin, shirt, sleeve, arm, (0.041 * stout, 0.033 * stout, 0.026 * stout))
        parts.append(part(body.heels[side, 2], shoes, (body.heels[side], 0.034), (body.toes[side], 0.03)))
        parts.append(part(arm[2, 2] + 0.025, skin, (arm[2], 0.024), (body.hands[side], 0.032)))
    return sorted(parts, key=lambda shape: shape.depth)


def thing(rng, middle, largest) -> Part:
    """A pole, box or stone at `middle` of a picture of size 1; `largest`: half the width of the widest box."""
    colour = any_colour(rng, 0.4)
    kind = rng.integers(3)
    if kind == 0:
        reach, radius = uniform(rng, ((-0.08, 0.08), (0.1, 0.4))), rng.uniform(0.008, largest / 3)
        return part(0, colour, (middle - reach, radius), (middle + reach, radius))
    corners = uniform(rng, ((0.02, largest), (0.02, largest))) * ((-1, -1), (1, -1), (1, 1), (-1, 1))
    if kind == 2:
        corners = corners * (0.3 + 0.7 * rng.random((4, 1)))
    return part(0, colour, *((middle + corner, 0.003 if kind == 1 else largest / 3) for corner in corners))


def background(rng, size) -> np.ndarray:
    """A picture (size, size, 3) uint8 without people: a wall, mostly a floor, and things."""
    light = rng.normal(0, 18, size=(*rng.integers(3, 16, size=2), 1))
    wall = any_colour(rng, 0.4) + light + rng.normal(0, 5, size=(*light.shape[:2], 3))
    canvas = cv2.resize(np.clip(wall, 0, 255).astype(np.uint8), (size, size), interpolation=cv2.INTER_LINEAR)
    things = [thing(rng, rng.random(2), 0.12) for _ in range(rng.integers(2, 8))]
    if rng.random() < 0.8:
        horizon = rng.uniform(0.5, 1)
        things.insert(0, part(0, any_colour(rng, 0.4), *(((x, y), 0) for x in (-0.1, 1.1) for y in (horizon, 1.1))))
    paint(canvas, things, size)
    return canvas


def scene(rng, size) -> Tuple[np.ndarray, np.ndarray, float]:
    """A picture (size, size, 3) uint8 of a person, the joints (16, 2) in 0-based pixels, the standing height in pixels.

    Joints may lie outside the picture: some people are cut off by its lower edge.
    """
    canvas = background(rng, size)
    body = Body(rng)
    height = rng.uniform(0.5, 0.72) * size
    joints = body.joints[:, :2] * height
    low, high = joints.min(axis=0) - 0.09 * height, joints.max(axis=0) + 0.09 * height
    origin = rng.random(2) * (size - (high - low)) - low
    if rng.random() < 0.08:
        origin[1] = size - rng.uniform(0.6, 0.9) * high[1]
    joints = joints + origin
    parts = person_parts(rng, body)
    if body.seated:
        right, left = body.joints[HIPS, 0] + np.sign(body.joints[HIPS, 0]) * 0.08
        seat, ground = body.joints[PELVIS, 1] + 0.03, body.joints[ANKLES, 1].max()
        parts.insert(0, part(0, any_colour(rng, 0.4), *(((x, y), 0.01) for x in (right, left) for y in (seat, ground))))
    paint(canvas, parts, height, origin)
    if rng.random() < 0.3:                # something before an arm or a leg
        hidden = rng.choice(ANKLES + KNEES + ELBOWS + WRISTS)
        paint(canvas, [thing(rng, joints[hidden] / size, 0.06)], size)
    return photographed(rng, canvas), joints, height


def photographed(rng, canvas) -> np.ndarray:
    """`canvas` with a soft lens, an exposure and the noise of a camera."""
    if rng.random() < 0.5:
        canvas = cv2.GaussianBlur(canvas, (3, 3), rng.uniform(0.4, 0.8))
    canvas = cv2.convertScaleAbs(canvas, alpha=rng.uniform(0.75, 1.1), beta=rng.uniform(0, 25))
    noise = np.frombuffer(rng.bytes(canvas[..., 0].size), np.uint8).reshape(canvas.shape[:2]) % 8
    return cv2.add(canvas, cv2.cvtColor(noise, cv2.COLOR_GRAY2BGR))
