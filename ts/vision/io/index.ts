/** `io`: pictures in files. */

export type { BytesSource } from "./bytes.ts";
export { decode_image, ImageReadMode, read_file, read_image } from "./image.ts";
