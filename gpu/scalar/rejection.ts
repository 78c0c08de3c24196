/**
 * Poisson, binomial and gamma numbers, in the type of their parameters. Small means by inversion; others by rejection (Hörmann 1993, "The
 * transformed rejection method for generating Poisson random variables", and its sibling for the binomial distribution; Marsaglia and Tsang
 * 2000 for gamma). Probabilities are compared in the saddle-point form (Loader 2000), which keeps its precision where counts are large.
 */

import type { Block, V } from "../builder.ts";
import { horner, like, pick } from "./basics.ts";
import { exp } from "./math_exp.ts";
import { log, log1p } from "./math_log.ts";
import { type Bits, exponential, normals, uniformOf } from "./philox.ts";

/** The four words of an element's block number `round`. */
export type Draw = (round: V) => readonly V[];

/** The same for numbers of the type of `x`; what f64 needs more comes from rounds that are not reached otherwise. */
function bitsOf(x: V, draw: Draw, round: V): Bits[] {
  const lows = x.scalar === "f64" ? draw(round.add(MOST_ROUNDS + 1)) : null;
  return draw(round).map((high, i) => ({ high, low: lows?.[i] ?? null }));
}

/** No loop goes on for longer; that would happen less than once in 2^50 elements. */
const MOST_ROUNDS = 128;
/** Inversion ends at the latest with this count: beyond, probabilities of means up to 10 vanish in f32. */
const MOST_INVERTED = 110;

/** x log(x / mean) + mean - x, for x >= 0 and mean > 0. */
function deviance(b: Block, x: V, mean: V): V {
  const d = x.sub(mean).div(mean);
  // (1 + d) log(1 + d) - d cancels near 0.
  const terms = Array.from({ length: pick(d, 5, 14) }, (_, i) => (i % 2 === 0 ? 1 : -1) / ((i + 1) * (i + 2)));
  const series = d.mul(d).mul(horner(d, ...terms.reverse()));
  const direct = x.eq(0).select(
    like(x, 1),
    d
      .add(1)
      .mul(log1p(b, d.max(pick(d, -0.99999994, -(1 - 2 ** -53)))))
      .sub(d),
  );
  return mean.mul(d.abs().lt(0.1).select(series, direct));
}

/** log(k!) - (k log k - k) for whole k >= 0. */
function stirling(b: Block, k: V): V {
  const safe = k.max(1);
  const inverse = like(k, 1).div(safe);
  const ii = inverse.mul(inverse);
  const tail = inverse.mul(ii.fma(ii.fma(ii.fma(-1 / 1680, 1 / 1260), -1 / 360), 1 / 12));
  return k.lt(0.5).select(like(k, 0), log(b, safe).mul(0.5).add(0.9189385332046727).add(tail));
}

/** Runs `body` until it says that it is done; it gets the words of a new block each time. */
function rounds(x: V, draw: Draw, body: (words: readonly Bits[], done: () => void) => void): void {
  const { block: b } = x;
  const going = b.var(b.bool(true));
  const round = b.var(b.u32(0));
  b.while(
    () => going.get(),
    () => {
      const r = round.get();
      body(bitsOf(x, draw, r), () => going.set(b.bool(false)));
      round.set(r.add(1));
      b.if(r.ge(MOST_ROUNDS), () => going.set(b.bool(false)));
    },
  );
}

/** The least k at which the running sum of probabilities, p0 first, exceeds u. */
function invert(b: Block, u: V, p0: V, ratio: (k: V) => V, most: V): V {
  const k = b.var(like(u, 0));
  const p = b.var(p0);
  const rest = b.var(u);
  b.while(
    () => rest.get().ge(p.get()).and(k.get().lt(most)),
    () => {
      rest.set(rest.get().sub(p.get()));
      k.set(k.get().add(1));
      p.set(p.get().mul(ratio(k.get())));
    },
  );
  return k.get();
}

export function poisson(b: Block, mean: V, draw: Draw): V {
  const result = b.var(like(mean, NaN));
  const least = pick(mean, 2 ** -25, 2 ** -54);
  b.if(mean.eq(0), () => result.set(0));
  b.if(mean.gt(0).and(mean.lt(10)), () => {
    const u = uniformOf(bitsOf(mean, draw, b.u32(0))[0]!);
    result.set(invert(b, u, exp(b, mean.neg()), (k) => mean.div(k), like(mean, MOST_INVERTED)));
  });
  b.if(mean.ge(10), () => {
    const width = mean.sqrt().mul(2.53).add(0.931);
    const a = width.mul(0.02483).sub(0.059);
    const logAlpha = log(b, like(mean, 1.1328).div(width.sub(3.4)).add(1.1239));
    const sure = like(mean, 0.9277).sub(like(mean, 3.6224).div(width.sub(2)));
    result.set(mean.round());
    rounds(mean, draw, ([first, second], done) => {
      const u = uniformOf(first!).sub(0.5);
      const v = uniformOf(second!);
      const us = like(u, 0.5).sub(u.abs()).max(least);
      const k = a.mul(2).div(us).add(width).mul(u).add(mean).add(0.43).floor();
      b.if(
        us.ge(0.07).and(v.le(sure)),
        () => {
          result.set(k);
          done();
        },
        () => {
          b.if(k.ge(0).and(us.ge(0.013).or(v.le(us))), () => {
            const left = log(b, v.max(least / 2))
              .add(logAlpha)
              .sub(log(b, a.div(us.mul(us)).add(width)));
            const right = deviance(b, k, mean).add(stirling(b, k)).neg();
            b.if(left.le(right), () => {
              result.set(k);
              done();
            });
          });
        },
      );
    });
  });
  return result.get();
}

export function binomial(b: Block, count: V, probability: V, draw: Draw): V {
  const flipped = probability.gt(0.5);
  const p = flipped.select(like(probability, 1).sub(probability), probability);
  const one = like(p, 1);
  const least = pick(p, 2 ** -25, 2 ** -54);
  const result = b.var(like(p, 0));
  const mean = count.mul(p);
  const some = count.gt(0).and(p.gt(0));
  b.if(some.and(mean.lt(10)), () => {
    const u = uniformOf(bitsOf(p, draw, b.u32(0))[0]!);
    const odds = p.div(one.sub(p));
    const none = exp(b, count.mul(log1p(b, p.neg())));
    result.set(invert(b, u, none, (k) => odds.mul(count.sub(k).add(1)).div(k), count.min(MOST_INVERTED)));
  });
  b.if(some.and(mean.ge(10)), () => {
    const q = one.sub(p);
    const deviation = mean.mul(q).sqrt();
    const width = deviation.mul(2.53).add(1.15);
    const a = width.mul(0.0248).sub(0.0873).add(p.mul(0.01));
    const sure = like(p, 0.92).sub(like(p, 4.2).div(width));
    const alpha = like(p, 5.1).div(width).add(2.83).mul(deviation);
    const mode = count.add(1).mul(p).floor();
    const logp = (k: V): V => {
      const rest = count.sub(k);
      const away = deviance(b, k, mean).add(deviance(b, rest, count.mul(q)));
      return stirling(b, k).add(stirling(b, rest)).add(away).neg();
    };
    const most = logp(mode);
    result.set(mode);
    rounds(p, draw, ([first, second], done) => {
      const u = uniformOf(first!).sub(0.5);
      const v = uniformOf(second!);
      const us = like(u, 0.5).sub(u.abs()).max(least);
      const k = a.mul(2).div(us).add(width).mul(u).add(mean).add(0.5).floor();
      b.if(k.ge(0).and(k.le(count)), () => {
        const accepted = b.var(us.ge(0.07).and(v.le(sure)));
        b.if(accepted.get().not(), () => {
          const left = log(
            b,
            v
              .max(least / 2)
              .mul(alpha)
              .div(a.div(us.mul(us)).add(width)),
          );
          accepted.set(left.le(logp(k).sub(most)));
        });
        b.if(accepted.get(), () => {
          result.set(k);
          done();
        });
      });
    });
  });
  b.if(p.le(0).and(count.gt(0)), () => result.set(0));
  const drawn = result.get();
  const value = flipped.select(count.max(0).sub(drawn), drawn);
  return probability.isNan().or(count.isNan()).select(like(value, NaN), value);
}

export function gamma(b: Block, shape: V, draw: Draw): V {
  const one = like(shape, 1);
  const result = b.var(like(shape, 0));
  const small = shape.lt(1);
  const d = small.select(shape.add(1), shape).sub(1 / 3);
  const c = one.div(d.mul(9).sqrt());
  const boost = b.var(one);
  rounds(shape, draw, (words, done) => {
    const [x] = normals(b, words[0]!, words[1]!);
    const y = c.fma(x, 1);
    b.if(y.gt(0), () => {
      const v = y.mul(y).mul(y);
      const e = exponential(b, words[2]!);
      // With e = -log(u): u < exp(x² / 2 + d - d v + d log v).
      b.if(
        e.neg().lt(
          x
            .mul(x)
            .mul(0.5)
            .add(d.mul(one.sub(v).add(log(b, v)))),
        ),
        () => {
          result.set(d.mul(v));
          // A gamma number of shape a is one of shape a + 1 times u^(1 / a).
          b.if(small, () => boost.set(exp(b, exponential(b, words[3]!).neg().div(shape))));
          done();
        },
      );
    });
  });
  const value = shape.eq(0).select(like(shape, 0), result.get().mul(boost.get()));
  return shape.isNan().or(shape.lt(0)).select(like(shape, NaN), value);
}
