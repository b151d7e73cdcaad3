"""The least work of each piece of an ST-GAN step: floating-point operations and bytes.

Operations are products and sums of the linear maps, of the optimiser and of nothing else: what
activations, gates and losses add is a few per cent. A convolution of k taps from I to O channels
over N coordinates takes 2 k I O N, its bias being what the sum starts from. Nothing counts twice
that could be kept; where keeping it would move more bytes than computing it anew, an
implementation may choose, and pays for one or the other beyond these counts.

Bytes are compulsory traffic: each input read once, each result written once, nothing between.
So `max(operations / matrix rate, bytes / copy rate)` is a floor that nothing gets below, and
that need not be reached: an LSTM's steps wait for each other.

B sequences of T frames of D coordinates, P = B T D; C channels, k taps, H units.
"""

import dataclasses
from typing import NamedTuple


class Work(NamedTuple):
    """The least work of a piece."""

    flops: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Size:
    """Sizes of the networks and their batch, symbols as above; `width` is bytes a number."""

    batch: int = 8
    frames: int = 50
    coordinates: int = 4000
    channels: int = 16
    taps: int = 3
    units: int = 128
    width: int = 4

    @property
    def points(self) -> int:
        """P."""
        return self.batch * self.frames * self.coordinates

    @property
    def conv(self) -> int:
        """A convolution from or to one channel, of P: 2 k C P."""
        return 2 * self.taps * self.channels * self.points

    @property
    def noise_conv(self) -> int:
        """The noise encoder's, once a sequence: 2 k C B D."""
        return self.conv // self.frames

    @property
    def weights(self) -> dict[str, int]:
        """Numbers in each network's parameters."""
        c, k, h = self.channels, self.taps, self.units
        return {
            "G": 2 * (k + 1) * c + k * c + 1,
            "D_S": (k + 1) * c + c * self.coordinates + 1,
            "D_T": 4 * h * (self.coordinates + h + 1) + self.frames * h + 1,
        }


def gen_forward(s: Size) -> Work:
    """G: encoder 2kCP, noise encoder 2kCBD, their sum CP, decoder 2kCP. Reads P + BD, writes P."""
    noise = s.points // s.frames
    flops = 2 * s.conv + s.noise_conv + s.channels * s.points
    return Work(flops, (2 * s.points + noise) * s.width)


def gen_gradients(s: Size) -> Work:
    """G's forward pass, then the gradient by its weights from that by its result.

    Decoder's weights 2kCP, hidden layer 2kCP, encoder's weights 2kCP and bias CP; noise encoder:
    the sum over frames CP, then 2kCBD and its bias CBD. Reads P + BD and the gradient P.
    """
    backward = 3 * s.conv + 2 * s.channels * s.points
    noise = s.noise_conv + s.channels * s.points // s.frames
    forward = gen_forward(s)
    return Work(forward.flops + backward + noise, forward.bytes)


def spatial_gradients(s: Size) -> Work:
    """D_S's loss on real and fake, 2B sequences, and the gradient by its weights.

    Of 2P: convolution 2kC and dense layer 2C a coordinate; back: the dense layer's weights 2C,
    the hidden layer C, the convolution's weights 2kC and bias C. Reads 2P, writes the weights'.
    """
    return Work(4 * s.conv + 12 * s.channels * s.points, 2 * s.points * s.width + _moved(s, "D_S"))


def spatial_inputs(s: Size) -> Work:
    """D_S on fakes and the gradient by them: of P, 2kC + 2C forwards, C + 2kC back."""
    flops = 2 * s.conv + 3 * s.channels * s.points
    return Work(flops, 2 * s.points * s.width + 4 * s.weights["D_S"])


def temporal_gradients(s: Size) -> Work:
    """D_T's loss on real and fake, 2B sequences, and the gradient by its weights.

    A frame's input projection 8DH, its recurrence 8HH but for the first frame's, which starts
    from zeros, and the dense layer 2H; back: the weights of projection and recurrence the same
    again, the hidden state 8HH, the dense layer's weights and input 4H.
    """
    flops = 2 * s.batch * (_projected(s, 2) + _recurrent(s, 3) + 6 * s.frames * s.units)
    return Work(flops, 2 * s.points * s.width + _moved(s, "D_T"))


def temporal_inputs(s: Size) -> Work:
    """D_T on fakes and the gradient by them: projection and recurrence, forwards and back."""
    flops = s.batch * (_projected(s, 2) + _recurrent(s, 2) + 4 * s.frames * s.units)
    return Work(flops, 2 * s.points * s.width + 4 * s.weights["D_T"])


def _projected(s: Size, times: int) -> int:
    return times * 8 * s.frames * s.coordinates * s.units


def _recurrent(s: Size, times: int) -> int:
    return times * 8 * (s.frames - 1) * s.units**2


def optimizer(s: Size) -> Work:
    """Adam: 12 operations a number; reads weight, gradient, two moments, writes all but one."""
    numbers = sum(s.weights.values())
    return Work(12 * numbers, 7 * 4 * numbers)


def step(s: Size) -> Work:
    """All of it, G's forward pass once. Reads uint16 gaits, and weights and moments both ways."""
    pieces = (
        gen_gradients,
        spatial_gradients,
        spatial_inputs,
        temporal_gradients,
        temporal_inputs,
        optimizer,
    )
    noise = 4 * s.points // s.frames
    numbers = sum(s.weights.values())
    return Work(sum(piece(s).flops for piece in pieces), 2 * s.points + noise + 6 * 4 * numbers)


def _moved(s: Size, name: str) -> int:
    """Weights read and their gradients written."""
    return 2 * 4 * s.weights[name]
