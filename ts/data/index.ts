/** `torch.utils.data`. */

export { default_collate, default_convert, type Collated } from "./collate.ts";
export { ConcatDataset, Dataset, IterableDataset, random_split, Subset, TensorDataset } from "./dataset.ts";
export { DataLoader, type DataLoaderOptions } from "./loader.ts";
export {
  BatchSampler,
  RandomSampler,
  Sampler,
  SequentialSampler,
  SubsetRandomSampler,
  type RandomSamplerOptions,
} from "./sampler.ts";
