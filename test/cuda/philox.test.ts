/** cuda's random numbers and the cpu's. */

import { unavailable } from "./environment.ts";
import { describe } from "vitest";
import { comparePhilox } from "../gpu/philox_streams.ts";

describe.skipIf(unavailable !== null)("cuda", () => comparePhilox("cuda"));
