"""Squared maximum mean discrepancy with a polynomial kernel, the distance of KID and of JEDi.

`k(x, y) = (x·y / d + c)^p`. KID (Bińkowski et al., 2018) has p = 3, c = 1 and the unbiased
estimate, which leaves each sample's product with itself out; it may fall below zero. JEDi (Luo et
al., 2025; `videojedi`) has p = 2, c = 0, keeps those products (so that few samples bias it
upwards) and multiplies by 100. No covariance is estimated, so few samples suffice.
"""

from __future__ import annotations

from torch import Tensor


def kid(real: Tensor, fake: Tensor) -> float:
    """KID's distance of features `[m, d]` and `[n, d]`: over all samples, not over subsets.

    Raises:
        ValueError: for fewer than two samples, or unequal dimensions.
    """
    return polynomial_mmd(real, fake, degree=3, constant=1.0)


def jedi(real: Tensor, fake: Tensor) -> float:
    """JEDi's distance of features `[m, d]` and `[n, d]`, as its published code computes it."""
    return 100 * polynomial_mmd(real, fake, degree=2, constant=0.0, unbiased=False)


def polynomial_mmd(
    real: Tensor, fake: Tensor, *, degree: int, constant: float, unbiased: bool = True
) -> float:
    """Squared discrepancy of features `[m, d]` and `[n, d]`, float64 throughout.

    Args:
        real: features.
        fake: features.
        degree: p.
        constant: c.
        unbiased: whether a sample's product with itself is left out.

    Raises:
        ValueError: for fewer than two samples (one, if not unbiased), unequal dimensions, or values
            that are not finite.
    """
    least = 2 if unbiased else 1
    a, b = real.detach().cpu().double(), fake.detach().cpu().double()
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"features {tuple(real.shape)} and {tuple(fake.shape)} do not fit")
    if min(len(a), len(b)) < least:
        raise ValueError(f"needs at least {least} samples, not {min(len(a), len(b))}")
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("features hold values that are not finite")

    def within(x: Tensor) -> float:
        products = (x @ x.T / x.shape[1] + constant) ** degree
        if not unbiased:
            return float(products.mean())
        return float((products.sum() - products.trace()) / (len(x) * (len(x) - 1)))

    across = ((a @ b.T / a.shape[1] + constant) ** degree).mean()
    return within(a) + within(b) - 2 * float(across)
