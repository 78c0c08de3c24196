/** torch.linalg's decompositions and solvers: computed on the host in float64, on whatever device the values are. */

export { cholesky, cholesky_ex } from "./cholesky.ts";
export { det, slogdet } from "./determinants.ts";
export { eig, eigvals } from "./eig.ts";
export { eigh, eigvalsh } from "./eigh.ts";
export { matrix_exp, tensorinv, tensorsolve } from "./functions.ts";
export { ldl_factor, ldl_factor_ex, ldl_solve } from "./ldl_factor.ts";
export { inv, inv_ex, lu, lu_factor, lu_factor_ex, lu_solve, solve, solve_ex } from "./lu.ts";
export { lstsq, pinv } from "./pinv.ts";
export { householder_product, qr } from "./qr.ts";
export { cond, matrix_rank, svd, svdvals } from "./svd.ts";
export { solve_triangular } from "./triangular.ts";
