//! `x` to the power `y` without a mathematics library, which `core` does not have.

/// `x` to the power `y`, with the special cases of IEEE 754 and, otherwise, an error of a few units
/// in the last place.
pub(super) fn pow(x: f64, y: f64) -> f64 {
    /// Whole exponents up to here are multiplied out: at most ten squarings.
    const WHOLE_MAX: f64 = 1024.0;
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let whole = is_whole(y);
    let odd = whole && y.abs() < EXACT && (y as i64) & 1 == 1;
    if x == 0.0 || x.is_infinite() || y.is_infinite() {
        return edge(x, y, odd);
    }
    if x < 0.0 && !whole {
        return f64::NAN;
    }
    if whole && y.abs() <= WHOLE_MAX {
        let power = multiply_out(x.abs(), y.abs() as u32);
        // The direct quotient is more exact; where the power overflowed, its inverse may not have.
        if y > 0.0 || (power.is_finite() && power >= f64::MIN_POSITIVE) {
            let power = if y > 0.0 { power } else { 1.0 / power };
            return if odd && x < 0.0 { -power } else { power };
        }
    }
    let power = exp2(log2(x.abs()).times(y));
    if odd && x < 0.0 { -power } else { power }
}

/// From here on every float is a whole, even number.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn is_whole(y: f64) -> bool {
    y.abs() >= EXACT || (y as i64) as f64 == y
}

/// The cases in which the base or the exponent is zero or infinite.
fn edge(x: f64, y: f64, odd: bool) -> f64 {
    let size = x.abs();
    if y.is_infinite() {
        return match (size == 1.0, (size > 1.0) == (y > 0.0)) {
            (true, _) => 1.0,
            (false, true) => f64::INFINITY,
            (false, false) => 0.0,
        };
    }
    let power = if (size == 0.0) == (y > 0.0) { 0.0 } else { f64::INFINITY };
    if odd && x.is_sign_negative() { -power } else { power }
}

fn multiply_out(x: f64, exponent: u32) -> f64 {
    let (mut power, mut square, mut left) = (Pair::from(1.0), Pair::from(x), exponent);
    while left > 0 {
        if left & 1 == 1 {
            power = power.times_pair(square);
        }
        left >>= 1;
        if left > 0 {
            square = square.times_pair(square);
        }
    }
    power.sum()
}

/// A number as the sum of two floats, the lower one at most half a unit in the last place of the
/// higher one.
#[derive(Clone, Copy)]
struct Pair {
    high: f64,
    low: f64,
}

impl Pair {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }

    /// The exact sum of two floats (Knuth).
    fn of_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let b_part = high - a;
        Self { high, low: (a - (high - b_part)) + (b - b_part) }
    }

    /// The exact product of two floats (Dekker).
    fn of_product(a: f64, b: f64) -> Self {
        let high = a * b;
        let ((a1, a0), (b1, b0)) = (halves(a), halves(b));
        Self { high, low: ((a1 * b1 - high) + a1 * b0 + a0 * b1) + a0 * b0 }
    }

    fn plus(self, other: Self) -> Self {
        let sum = Self::of_sum(self.high, other.high);
        Self::of_sum(sum.high, sum.low + self.low + other.low)
    }

    fn times(self, factor: f64) -> Self {
        self.times_pair(Self::from(factor))
    }

    fn times_pair(self, other: Self) -> Self {
        let product = Self::of_product(self.high, other.high);
        // The split of a large factor overflows and leaves no lower part to carry.
        if !product.low.is_finite() {
            return Self::from(product.high);
        }
        let low = product.low + self.high * other.low + self.low * other.high;
        Self::of_sum(product.high, low)
    }

    /// `self / divisor`, one step of refinement.
    fn over(self, divisor: Self) -> Self {
        let first = self.high / divisor.high;
        let rest = self.plus(divisor.times(-first));
        Self::of_sum(first, rest.high / divisor.high)
    }

    fn sum(self) -> f64 {
        if self.high.is_finite() { self.high + self.low } else { self.high }
    }
}

fn halves(a: f64) -> (f64, f64) {
    const SPLIT: f64 = 134_217_729.0;
    let scaled = SPLIT * a;
    let high = scaled - (scaled - a);
    (high, a - high)
}

/// The binary logarithm of a positive, finite number.
fn log2(x: f64) -> Pair {
    const TWO_54: f64 = 18_014_398_509_481_984.0;
    let (x, bias) = if x < f64::MIN_POSITIVE { (x * TWO_54, 54.0) } else { (x, 0.0) };
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as f64 - 1023.0 - bias;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
    if mantissa > core::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    // ln m = 2 artanh s for s = (m - 1) / (m + 1), |s| < 0.172.
    let s = Pair::of_sum(mantissa, -1.0).over(Pair::of_sum(mantissa, 1.0));
    let square = s.times_pair(s);
    let mut series = Pair::from(0.0);
    for n in (0..TERMS).rev() {
        let term = Pair::from(1.0).over(Pair::from(f64::from(2 * n + 1)));
        series = term.plus(series.times_pair(square));
    }
    let ln = series.times_pair(s).times(2.0);
    Pair::from(exponent).plus(ln.over(LN_2))
}

/// Terms of the series for the logarithm: 0.172^(2·23) is below 2^-106.
const TERMS: u32 = 23;

/// The natural logarithm of two.
const LN_2: Pair = Pair { high: core::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };

/// Two to the power `x`.
fn exp2(x: Pair) -> f64 {
    if x.high >= 1024.0 {
        return f64::INFINITY;
    }
    if x.high <= -1076.0 {
        return 0.0;
    }
    let whole = x.high as i32;
    let rest = Pair::of_sum(x.high - f64::from(whole), x.low).times_pair(LN_2);
    // exp r = (exp (r / 64))^64, so that the series is short.
    let r = Pair { high: rest.high / 64.0, low: rest.low / 64.0 };
    let mut series = Pair::from(1.0);
    for n in (1..=13_u32).rev() {
        series = Pair::from(1.0).plus(series.times_pair(r).over(Pair::from(f64::from(n))));
    }
    for _ in 0..6 {
        series = series.times_pair(series);
    }
    // In two steps, for the scale of a subnormal result is no normal number.
    let (first, second) = (whole / 2, whole - whole / 2);
    series.sum() * power_of_two(first) * power_of_two(second)
}

/// Two to a power whose result is a normal number.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023).clamp(1, 2046) as u64) << 52)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    const BASES: [f64; 18] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        0.5,
        1.5,
        10.0,
        -3.0,
        1e-3,
        1e300,
        1e-300,
        5e-324,
        0.9999,
        1.0001,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    const EXPONENTS: [f64; 20] = [
        0.0,
        1.0,
        -1.0,
        2.0,
        3.0,
        -3.0,
        0.5,
        -0.5,
        8.0,
        1.3,
        -2.7,
        100.0,
        1023.0,
        -1022.5,
        1e9,
        1e16,
        0.333,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];

    #[test]
    fn powers_are_those_of_the_platform() {
        for x in BASES.into_iter().chain([f64::NAN, 7.3, 123.456]) {
            for y in EXPONENTS {
                let (got, want) = (pow(x, y), x.powf(y));
                if want.is_nan() {
                    assert!(got.is_nan(), "{x} ^ {y}: {got}");
                } else if want.is_infinite() || want == 0.0 {
                    assert_eq!(got, want, "{x} ^ {y}");
                } else {
                    let error = ((got - want) / want).abs();
                    let limit = if want.abs() < f64::MIN_POSITIVE { 1e-2 } else { 1e-15 };
                    assert!(error <= limit, "{x} ^ {y}: {got}, not {want}");
                }
            }
        }
    }

    #[test]
    fn whole_powers_of_small_numbers_are_exact() {
        assert_eq!(pow(2.0, 8.0), 256.0);
        assert_eq!(pow(10.0, 15.0), 1e15);
        assert_eq!(pow(3.0, 4.0), 81.0);
        assert_eq!(pow(-3.0, 3.0), -27.0);
        assert_eq!(pow(2.0, -2.0), 0.25);
        assert_eq!(pow(9.0, 0.5), 3.0);
    }
}
