r"""Ed25519 signatures, verification alone, in plain Python: a device needs no wheel for it.

The curve is :math:`-x^2 + y^2 = 1 + d x^2 y^2` over the integers modulo p = 2^255 - 19; a signature (R, S) of
a message M under the key A is good when [S]B = R + [k]A with k = SHA-512(R || A || M) modulo L. It is checked
as written, without the cofactor, by comparing the encoding of [S]B - [k]A with R: every encoding of R that is
not the canonical one fails.

Source: RFC 8032, sections 5.1.3 (decoding) and 5.1.7 (verification); points are in the extended coordinates
of section 5.1.4. Nothing here is secret, so nothing has to take constant time.
"""

from __future__ import annotations

from typing import Final

from .digests import sha512

P: Final = 2**255 - 19
# Order of the base point.
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
# A square root of -1.
_I: Final = pow(2, (P - 1) // 4, P)

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

# X, Y, Z, T with x = X / Z, y = Y / Z, x y = T / Z.
Point = tuple[int, int, int, int]

_ZERO: Final[Point] = (0, 1, 1, 0)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` (64 bytes, R then S) of `message` is by `public_key` (32 bytes).

    False for whatever is malformed: another length, an S that is not below L, a key that is no point of the
    curve or not canonically encoded; and for a key of small order, under which one signature fits much.
    """
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    s = int.from_bytes(signature[32:], "little")
    key = decode(public_key)
    if s >= L or key is None or is_small(key):
        return False
    k = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % L
    return encode(_two_products(s, BASE, k, _negated(key))) == signature[:32]


def decode(data: bytes) -> Point | None:
    """Return the point that 32 bytes stand for; None where they stand for none."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    x = _root((y * y - 1) * pow(D * y * y + 1, -1, P) % P)
    if x is None or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def encode(point: Point) -> bytes:
    """Return the 32 bytes of a point."""
    X, Y, Z, _ = point
    inverse = pow(Z, -1, P)
    x, y = X * inverse % P, Y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def is_small(point: Point) -> bool:
    """Tell whether a point has one of the orders 1, 2, 4, 8."""
    for _ in range(3):
        point = _doubled(point)
    X, Y, Z, _ = point
    return X % P == 0 and (Y - Z) % P == 0


def _root(square: int) -> int | None:
    """Return a square root modulo p, which is 5 modulo 8; None where there is none."""
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _I % P
    return None if (x * x - square) % P else x


def _added(a: Point, b: Point) -> Point:
    X1, Y1, Z1, T1 = a
    X2, Y2, Z2, T2 = b
    A, B = (Y1 - X1) * (Y2 - X2) % P, (Y1 + X1) * (Y2 + X2) % P
    C, E2 = 2 * T1 * T2 * D % P, 2 * Z1 * Z2 % P
    E, F, G, H = B - A, E2 - C, E2 + C, B + A
    return E * F % P, G * H % P, F * G % P, E * H % P


def _doubled(a: Point) -> Point:
    X, Y, Z, _ = a
    A, B, C = X * X % P, Y * Y % P, 2 * Z * Z % P
    H = A + B
    E, G = H - (X + Y) * (X + Y), A - B
    F = C + G
    return E * F % P, G * H % P, F * G % P, E * H % P


def _negated(a: Point) -> Point:
    X, Y, Z, T = a
    return P - X, Y, Z, P - T


def _two_products(m: int, a: Point, n: int, b: Point) -> Point:
    """Return [m]a + [n]b, bit by bit of both at once."""
    both = _added(a, b)
    total = _ZERO
    for bit in range(max(m.bit_length(), n.bit_length()) - 1, -1, -1):
        total = _doubled(total)
        pair = (m >> bit & 1) + 2 * (n >> bit & 1)
        if pair:
            total = _added(total, (a, b, both)[pair - 1])
    return total


def _base() -> Point:
    point = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    if point is None:  # y = 4 / 5 with an even x is on the curve
        raise ArithmeticError("the base point is not on the curve")
    return point


BASE: Final = _base()
