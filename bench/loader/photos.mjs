/** Data whose samples cost JavaScript: a JPEG decoded and resized for each. Runs in the loader's workers and beside the training. */

import jpeg from "jpeg-js";
import * as torch from "kindling";
import { io, transforms } from "kindling/vision";

const SIDE = 96;

function picture() {
  const data = Uint8Array.from({ length: SIDE * SIDE * 4 }, (_, i) => (i * 2654435761) >>> (24 + ((i >> 7) % 3)));
  return jpeg.encode({ width: SIDE, height: SIDE, data }, 90).data;
}

class Photos extends torch.utils.data.Dataset {
  constructor(length) {
    super();
    this.length = length;
    this.bytes = picture();
    this.transform = new transforms.Compose([new transforms.Resize([32, 32]), new transforms.ToTensor()]);
  }
  async get(index) {
    return [this.transform(await io.decode_image(this.bytes)), index % 10];
  }
}

export const photos = torch.utils.data.worker_dataset((length) => new Photos(length));
