/** Initialisers under a seed, and modules as they are built. */

import type { Json, JsonObject } from "../corpus.ts";
import { elements } from "../safetensors.ts";
import { withOptions } from "../decode.ts";
import { Skip } from "../outcome.ts";
import { expectValue } from "../values.ts";
import { expectState, makeModule, makeSequential, manualSeed, settings, type Env, type Layer } from "./common.ts";

const SEED = 42;
/** What draws from the normal distribution goes through logarithms and cosines, and is compared less closely. */
const NORMAL = /normal|orthogonal|sparse|Embedding/;

interface InitCase {
  readonly initialiser?: string;
  readonly shape?: readonly number[];
  readonly module?: string;
  readonly args?: readonly Json[];
  readonly kwargs?: JsonObject;
  readonly layers?: readonly Layer[];
  readonly output?: Json;
  readonly state_dict?: JsonObject;
}

/** Initialisers and modules that draw no random numbers. */
const FIXED = /^(constant_|ones_|zeros_|eye_|dirac_|BatchNorm\dd|InstanceNorm\dd|LayerNorm|GroupNorm|RMSNorm|PReLU)$/;

export async function runInit(env: Env, c: InitCase): Promise<void> {
  if (env.session.device !== "cpu" && !FIXED.test(c.initialiser ?? c.module ?? ""))
    throw new Skip(`${env.session.device} draws from a stream of its own; PyTorch's are the cpu's`);
  const close = NORMAL.test(c.initialiser ?? c.module ?? "") ? 1e-5 : 1e-6;
  const tolerance = [close / 2, close / 2] as const;
  if (c.initialiser !== undefined) {
    const shape = c.shape!;
    const data = new Float32Array(elements(shape));
    const zeros = env.session.tensor({ dtype: "float32", shape, data });
    manualSeed(env, SEED);
    await env.session.call(`nn.init.${c.initialiser}`, withOptions([zeros], settings(env).record(c.kwargs ?? {})));
    return expectValue(env.session, zeros, c.output!, env.tensors, { tolerance });
  }
  manualSeed(env, SEED);
  const module = c.layers === undefined ? makeModule(env, c.module!, c.args, c.kwargs) : makeSequential(env, c.layers);
  await expectState(env, module, c.state_dict!, { tolerance });
}
