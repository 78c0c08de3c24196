/** `torch.utils.data`. */

export { default_collate, default_convert, type Collated } from "./collate.ts";
export {
  ChainDataset,
  ConcatDataset,
  Dataset,
  IterableDataset,
  random_split,
  StackDataset,
  Subset,
  TensorDataset,
} from "./dataset.ts";
export { DataLoader, type DataLoaderOptions } from "./loader.ts";
export {
  BatchSampler,
  RandomSampler,
  Sampler,
  SequentialSampler,
  SubsetRandomSampler,
  WeightedRandomSampler,
  type RandomSamplerOptions,
} from "./sampler.ts";
export type { StartWorker } from "./pool.ts";
export { get_worker_info, worker_dataset, type WorkerDatasetOptions, type WorkerInfo } from "./worker.ts";
