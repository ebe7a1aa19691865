"""Puts buildings, traffic, people, signs, furniture and plants on a street."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from data_prep.street.buildings import building
from data_prep.street.furniture import (
    bollard,
    cone,
    fence,
    lamp_post,
    litter_bin,
    shelter,
    sign,
    traffic_light,
)
from data_prep.street.layout import KERB_HEIGHT, KERB_WIDTH, Street
from data_prep.street.people import bicycle, motorcycle, pedestrian
from data_prep.street.plants import bush, conifer, hedge, tree
from data_prep.street.things import Thing, choose
from data_prep.street.vehicles import vehicle

_BAY = 5.8
_CAR_KINDS = ["hatch", "sedan", "estate", "suv", "van", "bus", "truck"]
_MOVING = [4.0, 3.0, 2.0, 3.0, 1.5, 0.9, 0.8]
_PARKED = [4.0, 3.0, 2.0, 3.0, 1.5, 0.0, 0.2]


class Planner:
    """Puts things on a street; each `add_` method one sort of them."""

    def __init__(self, rng: np.random.Generator, street: Street, urban: bool, dusk: bool) -> None:
        self.rng = rng
        self.street = street
        self.urban = urban
        self.dusk = dusk
        self.things: list[Thing] = []
        self._taken: list[tuple[float, float]] = []

    def _behind_kerb(
        self, side: float, u: float, behind: float
    ) -> tuple[float, float, float, bool]:
        """(x, y, heading of u, free) of a place on the pavement; a free place is then taken."""
        v = side * (self.street.half_width + behind)
        x, y, heading = self.street.place(u, v)
        reach = float(self.street.beyond_kerb(np.float32([u]), np.float32([v]))[0])
        free = reach > 0.2 and all(np.hypot(x - a, y - b) > 0.85 for a, b in self._taken)
        if free:
            self._taken.append((x, y))
        return x, y, heading, free

    def add_buildings(self) -> None:
        """Rows of houses along the street and along the arms of the crossing."""
        street, rng = self.street, self.rng
        setback = 0.0 if self.urban else float(rng.uniform(3.5, 6.5))
        front = street.half_width + street.pavement + setback + 0.05
        for side in (-1.0, 1.0):
            opens = street.crossing is not None and street.arms[0 if side < 0 else 1]
            u = -82.0 + float(rng.uniform(0, 6)) if self.urban else -85.0
            while u < 82.0:
                width, depth, gap = self._lot()
                if opens:
                    away = street.crossing_half_width + street.pavement + 0.1
                    low, high = street.crossing - away, street.crossing + away
                    if u < high and u + width > low:
                        if low - u < 6.0:
                            u = high
                            continue
                        width = low - u
                middle = front + depth / 2
                x, y, yaw = street.place(u + width / 2, side * middle, 0.0 if side > 0 else np.pi)
                if self.urban and rng.random() < 0.08:
                    # An empty lot behind a wall.
                    x, y, yaw = street.place(u + width / 2, side * (front + 0.2))
                    self.things.append(fence(rng, x, y, KERB_HEIGHT, yaw, width, "wall"))
                    x, y, _ = street.place(u + width / 2, side * (front + 6.0))
                    self.things.append(tree(rng, x, y, KERB_HEIGHT, 7.0, False))
                else:
                    self._add_building(x, y, yaw, width, depth)
                if not self.urban:
                    self._boundary(side, u + 3.2, u + width)
                u += width + gap
        if street.crossing is not None:
            self._cross_buildings(front)

    def _add_building(self, x: float, y: float, yaw: float, width: float, depth: float) -> None:
        """A building on a lot; outside the city it leaves room for a drive."""
        drive = 0.0 if self.urban else 4.2
        self.things.append(
            building(self.rng, x, y, KERB_HEIGHT, yaw, width - drive, depth, self.urban, self.dusk)
        )

    def _lot(self) -> tuple[float, float, float]:
        """Width, depth and the gap after it of the next lot, metres."""
        rng = self.rng
        if not self.urban:
            return 17.0, float(rng.uniform(8, 11)), 0.0
        gap = float(rng.uniform(1.5, 4.0)) if rng.random() < 0.12 else 0.0
        return float(rng.uniform(8, 22)), float(rng.uniform(10, 15)), gap

    def _cross_buildings(self, front: float) -> None:
        street = self.street
        away = street.crossing_half_width + street.pavement + (0.1 if self.urban else 4.0)
        for number, side in enumerate((-1.0, 1.0)):
            if not street.arms[number]:
                continue
            for hand in (-1.0, 1.0):
                v = front + 16.0
                while v < 75.0:
                    width, depth, gap = self._lot()
                    turn = -np.pi / 2 if hand > 0 else np.pi / 2
                    x, y, yaw = street.place(
                        street.crossing + hand * (away + depth / 2), side * (v + width / 2), turn
                    )
                    self._add_building(x, y, yaw, width, depth)
                    v += width + gap

    def _boundary(self, side: float, start: float, stop: float) -> None:
        """Hedge, fence or wall between a garden and the pavement."""
        kind = choose(self.rng, ["none", "hedge", "slats", "planks", "wall"], [2, 3, 2, 1.2, 2])
        v = side * (self.street.half_width + self.street.pavement + 0.45)
        middle, length = (start + stop) / 2, stop - start
        if kind == "none" or self.street.in_crossing(middle, length / 2 + 3.0):
            return
        x, y, yaw = self.street.place(middle, v)
        if kind == "hedge":
            self.things.append(hedge(self.rng, x, y, KERB_HEIGHT, yaw, length))
        else:
            self.things.append(fence(self.rng, x, y, KERB_HEIGHT, yaw, length, kind))

    def add_traffic(self) -> None:
        """Parked cars in the strips, moving ones in the lanes, waiting ones in the crossing."""
        street, rng = self.street, self.rng
        for side, strip in ((-1.0, street.parking[0]), (1.0, street.parking[1])):
            density = float(rng.uniform(0.3, 0.85))
            for bay in range(-9, 10):
                u = bay * _BAY
                taken = rng.random() < density * (0.45 if abs(u - 1.5) < 6 else 1.0)
                blocked = street.in_crossing(u, 6.0) or any(abs(u - z) < 5.2 for z in street.zebras)
                if strip == 0 or blocked or not taken:
                    continue
                v = side * (street.half_width - 1.08)
                turn = (0.0 if side < 0 else np.pi) + float(rng.normal(0, 0.02))
                if rng.random() < 0.1:
                    turn += np.pi
                x, y, yaw = street.place(u + float(rng.normal(0, 0.2)), v, turn)
                kind = choose(rng, _CAR_KINDS, _PARKED)
                self.things.append(vehicle(rng, kind, x, y, yaw, False))
        lit = self.dusk or rng.random() < 0.3
        bounds = sorted([-street.half_width + street.parking[0] + 0.15, *street.lanes])
        bounds.append(street.half_width - street.parking[1] - 0.15)
        for low, high in pairwise(bounds):
            v = (low + high) / 2
            forward = high <= street.lanes[0] + 0.01
            spacing = float(choose(rng, [11.0, 18.0, 30.0]))
            u = -60.0 + float(rng.uniform(0, spacing))
            while u < 70.0:
                kind = choose(rng, _CAR_KINDS, _MOVING)
                long = kind in ("bus", "truck")
                own_lane = low < street.offset < high
                near = own_lane and abs(u - 1.4) < (14.0 if long else 9.5)
                apart = 9.5 if long else 5.0
                if not near and not any(abs(u - z) < apart for z in street.zebras):
                    turn = (0.0 if forward else np.pi) + float(rng.normal(0, 0.02))
                    x, y, yaw = street.place(u, v + float(rng.normal(0, 0.15)), turn)
                    self.things.append(vehicle(rng, kind, x, y, yaw, lit))
                u += (13.0 if long else 8.0) + float(rng.exponential(spacing))
        if street.crossing is not None:
            for number, side in enumerate((-1.0, 1.0)):
                if street.arms[number] and rng.random() < 0.7:
                    v = side * (street.half_width + float(rng.uniform(5.5, 9.0)))
                    u = street.crossing - side * street.crossing_half_width / 2
                    kind = choose(rng, _CAR_KINDS, _PARKED)
                    x, y, yaw = street.place(u, v, -side * np.pi / 2)
                    self.things.append(vehicle(rng, kind, x, y, yaw, lit))

    def add_signals(self) -> None:
        """Traffic lights at the crossing, or at a zebra crossing."""
        street, rng = self.street, self.rng
        arm = -(street.half_width * 0.75) if street.half_width > 5 and rng.random() < 0.5 else 0.0
        if street.crossing is not None and rng.random() < 0.9:
            reach = street.crossing_half_width + 3.6
            places = [
                (street.crossing - reach, -1.0, np.pi, arm),
                (street.crossing + reach, 1.0, 0.0, arm),
                (street.crossing + reach, -1.0, np.pi, 0.0),
                (street.crossing - reach, 1.0, 0.0, 0.0),
            ]
        elif street.zebras:
            zebra = street.zebras[0]
            places = [(zebra - 2.2, -1.0, np.pi, arm), (zebra + 2.2, 1.0, 0.0, arm)]
            places += [(zebra - 2.2, 1.0, np.pi, 0.0), (zebra + 2.2, -1.0, 0.0, 0.0)]
        else:
            ahead = float(rng.uniform(8, 16))
            places = [(ahead, -1.0, np.pi, 0.0), (-ahead, 1.0, 0.0, 0.0)]
        for u, side, turn, reach_over in places:
            x, y, heading, free = self._behind_kerb(side, u, 0.55)
            if free:
                yaw = heading + turn + float(rng.normal(0, 0.08))
                self.things.append(traffic_light(rng, x, y, KERB_HEIGHT, yaw, reach_over))

    def add_signs(self) -> None:
        """Signs on both sides, near enough to be read, and some farther off."""
        rng = self.rng
        wanted = [
            (float(rng.uniform(7, 13)), -1.0, np.pi),
            (float(rng.uniform(5, 11)), 1.0, choose(rng, [0.0, np.pi])),
            (float(rng.uniform(-11, -5)), 1.0, 0.0),
            (float(rng.uniform(-9, -4)), -1.0, choose(rng, [0.0, np.pi])),
            (float(rng.uniform(0, 5)), choose(rng, [-1.0, 1.0]), choose(rng, [0.0, np.pi, None])),
            (float(rng.uniform(14, 40)), -1.0, np.pi),
            (float(rng.uniform(-40, -14)), 1.0, 0.0),
            (float(rng.uniform(-3, 6)), choose(rng, [-1.0, 1.0]), None),
        ]
        for u, side, turn in wanted:
            x, y, heading, free = self._behind_kerb(side, u, float(rng.uniform(0.45, 0.8)))
            if free:
                across = -side * np.pi / 2
                yaw = heading + (across if turn is None else turn) + float(rng.normal(0, 0.15))
                self.things.append(sign(rng, x, y, KERB_HEIGHT, yaw))

    def add_people(self) -> None:
        """Pedestrians on the pavements and on zebra crossings."""
        street, rng = self.street, self.rng
        near = [(float(rng.uniform(-4, 9)), side) for side in (-1.0, 1.0) for _ in range(3)]
        near += [(float(rng.uniform(3, 13)), choose(rng, [-1.0, 1.0])) for _ in range(3)]
        near += [(float(rng.uniform(-13, -3)), choose(rng, [-1.0, 1.0])) for _ in range(3)]
        far = [(float(rng.uniform(-45, 45)), choose(rng, [-1.0, 1.0])) for _ in range(8)]
        for u, side in [*near, *far]:
            behind = float(rng.uniform(0.5, street.pavement - 0.3))
            if rng.random() < 0.15:
                continue
            x, y, heading, free = self._behind_kerb(side, u, behind)
            if free:
                turn = choose(rng, [0.0, np.pi, float(rng.uniform(0, 6.28))], [2, 2, 1])
                self.things.append(
                    pedestrian(rng, x, y, KERB_HEIGHT, heading + turn, rng.random() < 0.75)
                )
        for zebra in street.zebras:
            for _ in range(int(rng.integers(1, 5))):
                v = float(rng.uniform(-0.9, 0.9)) * street.half_width
                x, y, yaw = street.place(
                    zebra + float(rng.uniform(-1.2, 1.2)), v, choose(rng, [-1.57, 1.57])
                )
                if np.hypot(x - 1.4, y) > 3.6:
                    self.things.append(pedestrian(rng, x, y, 0.0, yaw, True))

    def add_two_wheelers(self) -> None:
        """Riders beside and between the lanes, parked bicycles and motorcycles on the pavement."""
        street, rng = self.street, self.rng
        for side, turn in ((-1.0, 0.0), (1.0, np.pi)):
            strip = street.parking[0 if side < 0 else 1]
            for _ in range(int(rng.integers(1, 3))):
                ahead = float(choose(rng, [rng.uniform(5.5, 14), rng.uniform(-12, -4)], [2, 1]))
                v = side * (street.half_width - strip - 0.75)
                x, y, yaw = street.place(ahead, v, turn + float(rng.normal(0, 0.06)))
                # Neither inside another vehicle nor in the own lane's way.
                if self._clear(x, y, 2.6):
                    make = choose(rng, [bicycle, motorcycle])
                    self.things.append(make(rng, x, y, 0.0, yaw, True))
        for _ in range(int(rng.integers(2, 5))):
            side = choose(rng, [-1.0, 1.0])
            u = float(rng.uniform(-10, 14))
            x, y, heading, free = self._behind_kerb(side, u, float(rng.uniform(0.7, 1.2)))
            if free:
                make = choose(rng, [bicycle, motorcycle])
                turn = float(choose(rng, [0.0, 1.2, np.pi, -1.9]))
                self.things.append(make(rng, x, y, KERB_HEIGHT, heading + turn, False))

    def _clear(self, x: float, y: float, distance: float) -> bool:
        """Whether no vehicle, the own included, comes within `distance` metres of (x, y)."""
        if abs(y) < 1.9 and -2.6 < x < 5.6:
            return False
        for thing in self.things:
            if thing.footprint is not None and thing.footprint[0] > 0.7:
                offset = np.array([x, y]) - np.asarray(thing.position[:2])
                c, s = np.cos(thing.yaw), np.sin(thing.yaw)
                along, across = abs(offset @ (c, s)), abs(offset @ (-s, c))
                if along < thing.footprint[0] + distance / 2 and across < thing.footprint[1] + 0.45:
                    return False
        return True

    def add_furniture(self) -> None:
        """Lamp posts, bins, bollards, a bus shelter, cones."""
        street, rng = self.street, self.rng
        step, height = float(rng.uniform(18, 30)), float(rng.uniform(5.5, 9.0))
        first = float(rng.uniform(0, step))
        for side in (-1.0, 1.0):
            for k in range(-3, 4):
                u = first + k * step + (step / 2 if side > 0 else 0.0)
                x, y, heading, free = self._behind_kerb(side, u, 0.5)
                if free:
                    yaw = heading - side * np.pi / 2
                    self.things.append(lamp_post(rng, x, y, KERB_HEIGHT, yaw, height, self.dusk))
        for _ in range(int(rng.integers(2, 6))):
            side = choose(rng, [-1.0, 1.0])
            x, y, heading, free = self._behind_kerb(side, float(rng.uniform(-20, 25)), 0.6)
            if free:
                self.things.append(litter_bin(rng, x, y, KERB_HEIGHT, heading))
        if self.urban and rng.random() < 0.5:
            side, start = choose(rng, [-1.0, 1.0]), float(rng.uniform(-12, 4))
            for k in range(int(rng.integers(4, 9))):
                x, y, _, free = self._behind_kerb(side, start + 1.5 * k, 0.4)
                if free:
                    self.things.append(bollard(x, y, KERB_HEIGHT))
        if street.pavement > 2.8 and rng.random() < 0.35:
            side = choose(rng, [-1.0, 1.0])
            u = float(choose(rng, [rng.uniform(8, 20), rng.uniform(-20, -8)]))
            if not street.in_crossing(u, 6.0):
                x, y, heading, free = self._behind_kerb(side, u, street.pavement - 0.9)
                if free:
                    turn = np.pi if side > 0 else 0.0
                    self.things.append(shelter(rng, x, y, KERB_HEIGHT, heading + turn))
        if rng.random() < 0.2:
            start = float(rng.uniform(6, 14))
            for k in range(4):
                x, y, _ = street.place(start + 1.6 * k, street.half_width - 0.9 - 0.3 * k)
                if self._clear(x, y, 1.0):
                    self.things.append(cone(x, y))

    def add_plants(self) -> None:
        """Street trees, and trees and bushes in the gardens."""
        street, rng = self.street, self.rng
        autumn = bool(rng.random() < 0.15)
        if rng.random() < 0.65:
            step = float(rng.uniform(8, 15))
            first = float(rng.uniform(0, step))
            behind = KERB_WIDTH + street.verge / 2 if street.verge > 0 else 0.9
            for side in (-1.0, 1.0):
                height = float(rng.uniform(4.5, 8.5))
                for k in range(-5, 6):
                    if rng.random() < 0.2:
                        continue
                    x, y, _, free = self._behind_kerb(side, first + k * step, behind)
                    if free:
                        tall = height * float(rng.uniform(0.85, 1.15))
                        self.things.append(tree(rng, x, y, KERB_HEIGHT, tall, autumn))
        if street.lawn:
            for _ in range(14):
                side = choose(rng, [-1.0, 1.0])
                u = float(rng.uniform(-50, 60))
                behind = street.pavement + float(
                    choose(rng, [rng.uniform(1.4, 2.6), rng.uniform(16, 24)])
                )
                if abs(np.mod(u, 17.0) - 1.5) < 2.6 or street.in_crossing(u, 7.0):
                    continue
                x, y, _, free = self._behind_kerb(side, u, behind)
                if not free:
                    continue
                if behind < street.pavement + 3:
                    self.things.append(bush(rng, x, y, KERB_HEIGHT))
                elif rng.random() < 0.4:
                    self.things.append(conifer(rng, x, y, KERB_HEIGHT, float(rng.uniform(6, 13))))
                else:
                    self.things.append(
                        tree(rng, x, y, KERB_HEIGHT, float(rng.uniform(6, 11)), autumn)
                    )
