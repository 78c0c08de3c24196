/** torch.nn.utils.stateless. Deprecated: torch.func.functional_call. */

export { functional_call } from "../functional_call.ts";
