/**
 * All tests of kernels, for files that put devices of their own into harness.ts (`vi.mock`) and then import this one: it registers them anew.
 */

import "./attention.test.ts";
import "./conv.test.ts";
import "./double.test.ts";
import "./gather.test.ts";
import "./long.test.ts";
import "./map.test.ts";
import "./matmul.test.ts";
import "./matrix.test.ts";
import "./nonzero.test.ts";
import "./optimizer.test.ts";
import "./pool.test.ts";
import "./random.test.ts";
import "./reduce.test.ts";
import "./rowwise.test.ts";
import "./scalar.test.ts";
import "./scan.test.ts";
import "./sort.test.ts";
