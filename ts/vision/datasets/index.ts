/** `datasets`: samples from files. */

export { CSVDataset, read_csv, type ColumnType, type CsvOptions, type CsvRow, type CsvValue } from "./csv.ts";
export {
  DatasetFolder,
  default_loader,
  ImageFolder,
  IMG_EXTENSIONS,
  type DatasetFolderOptions,
  type FolderRoot,
  type ImageFolderOptions,
} from "./folder.ts";
export { CIFAR10, CIFAR100, decode_idx, FashionMNIST, MNIST, type ImagesOptions } from "./mnist.ts";
