import { sweep } from "./accuracy.ts";

sweep(1 << 22);
