/** Samples in folders that are named for their classes. */

import type * as fileSystem from "node:fs";
import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { builtin, type BytesSource } from "../io/bytes.ts";
import { read_image } from "../io/image.ts";

export const IMG_EXTENSIONS = [".jpg", ".jpeg", ".png"] as const;

type Loader<T> = (source: string | File) => T | Promise<T>;

export interface DatasetFolderOptions<T, X = T, Y = number> {
  /** What is done to a loaded sample. */
  transform?: ((sample: T) => X | Promise<X>) | null;
  target_transform?: ((target: number) => Y) | null;
  /** Instead of extensions: which files are samples. */
  is_valid_file?: ((path: string) => boolean) | null;
  /** Whether a class may be without samples. */
  allow_empty?: boolean;
}

/** A folder's path in Node; in browsers the files of `<input type="file" webkitdirectory>`, or others whose names are paths. */
export type FolderRoot = string | Iterable<File>;

interface Found {
  /** Relative to the root, with slashes. */
  readonly path: string;
  readonly source: string | File;
}

function* filesOf(root: FolderRoot): Generator<Found> {
  if (typeof root !== "string") {
    const files = [...root].map((source) => ({ path: source.webkitRelativePath || source.name, source }));
    // What is chosen in a browser begins with the chosen folder's own name.
    const chosen = files.every(({ source }) => source.webkitRelativePath !== "");
    for (const { path, source } of files) yield { path: chosen ? path.slice(path.indexOf("/") + 1) : path, source };
    return;
  }
  const fs = builtin<typeof fileSystem>("DatasetFolder", "node:fs");
  if (!fs.existsSync(root)) throw new torch.ValueError(`DatasetFolder: there is no folder ${root}`);
  const walk = function* (folder: string, prefix: string): Generator<Found> {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const [at, path] = [`${folder}/${entry.name}`, prefix + entry.name];
      const isFolder = entry.isDirectory() || (entry.isSymbolicLink() && fs.statSync(at).isDirectory());
      if (isFolder) yield* walk(at, `${path}/`);
      else yield { path, source: at };
    }
    // An empty class is one, too.
    if (prefix !== "") yield { path: prefix, source: folder };
  };
  yield* walk(root, "");
}

const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Samples [what `loader` makes of the file, number of its class]: root/class/…/file. Classes are the folders in the order of their names, and
 * samples are sorted. ValueError where there is no folder, or a class without samples.
 */
export class DatasetFolder<T, X = T, Y = number> extends torch.utils.data.Dataset<[X, Y]> {
  readonly classes: readonly string[];
  readonly class_to_idx: Readonly<Record<string, number>>;
  /** Paths (in browsers: Files) and the numbers of their classes. */
  readonly samples: readonly (readonly [source: string | File, target: number])[];
  readonly targets: readonly number[];
  readonly transform: DatasetFolderOptions<T, X, Y>["transform"];
  readonly target_transform: DatasetFolderOptions<T, X, Y>["target_transform"];

  constructor(
    readonly root: FolderRoot,
    readonly loader: Loader<T>,
    readonly extensions: readonly string[] | null = null,
    { transform = null, target_transform = null, is_valid_file = null, allow_empty = false }: DatasetFolderOptions<T, X, Y> = {},
  ) {
    super();
    if ((extensions === null) === (is_valid_file === null)) {
      throw new torch.ValueError("Both extensions and is_valid_file cannot be null or given at the same time");
    }
    this.transform = transform;
    this.target_transform = target_transform;
    const isSample = is_valid_file ?? ((path) => extensions!.some((end) => path.toLowerCase().endsWith(end.toLowerCase())));
    const found = [...filesOf(root)].filter(({ path }) => path.includes("/"));
    const classOf = (path: string): string => path.slice(0, path.indexOf("/"));
    this.classes = [...new Set(found.map(({ path }) => classOf(path)))].sort(byCode);
    if (this.classes.length === 0) throw new torch.ValueError(`Couldn't find any class folder in ${nameOf(root)}.`);
    this.class_to_idx = Object.fromEntries(this.classes.map((name, i) => [name, i]));
    const samples = found.filter(({ path }) => !path.endsWith("/") && isSample(path));
    const empty = this.classes.filter((name) => !samples.some(({ path }) => classOf(path) === name));
    if (empty.length > 0 && !allow_empty) {
      const supported = extensions === null ? "" : ` Supported extensions are: ${extensions.join(", ")}`;
      throw new torch.ValueError(`Found no valid file for the classes ${empty.join(", ")}.${supported}`);
    }
    // By class first: "a b" sorts before "a/", but its class after "a".
    samples.sort((a, b) => byCode(classOf(a.path), classOf(b.path)) || byCode(a.path, b.path));
    this.samples = samples.map(({ path, source }) => [source, this.class_to_idx[classOf(path)]!] as const);
    this.targets = this.samples.map(([, target]) => target);
  }
  get length(): number {
    return this.samples.length;
  }
  async get(index: number): Promise<[X, Y]> {
    const sample = this.samples.at(index);
    if (sample === undefined)
      throw new torch.IndexError(`DatasetFolder: index ${index} is out of range of ${this.length} samples`);
    const [source, target] = sample;
    const loaded = await this.loader(source);
    return [
      this.transform ? await this.transform(loaded) : (loaded as unknown as X),
      this.target_transform ? this.target_transform(target) : (target as unknown as Y),
    ];
  }
}

const nameOf = (root: FolderRoot): string => (typeof root === "string" ? root : "the files");

export interface ImageFolderOptions<X = Tensor, Y = number> extends DatasetFolderOptions<Tensor, X, Y> {
  loader?: Loader<Tensor>;
}

/** Images root/class/….png or .jpg, each a uint8 tensor [3, H, W] before its transform, and the number of their class. */
export class ImageFolder<X = Tensor, Y = number> extends DatasetFolder<Tensor, X, Y> {
  constructor(root: FolderRoot, { loader = default_loader, ...options }: ImageFolderOptions<X, Y> = {}) {
    super(root, loader, options.is_valid_file ? null : IMG_EXTENSIONS, options);
  }
  get imgs(): readonly (readonly [source: string | File, target: number])[] {
    return this.samples;
  }
}

/** The file's picture in three colours. */
export function default_loader(source: BytesSource): Promise<Tensor> {
  return read_image(source, "RGB");
}
