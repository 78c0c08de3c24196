/** Products, convolutions and attention on matrix units, in all forms. */

import { registerMatrixTests } from "./matrix_cases.ts";

registerMatrixTests("rest");
