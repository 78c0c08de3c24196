/**
 * A convolutional network for 8x8 grey images of digits. Its parts are smooth (GELU, average pooling): where maxima tie, as they do in the
 * images' empty margins, rounding decides which way gradients go, and no two implementations would train alike.
 */

import { nn, type Tensor } from "kindling";

export class DigitsNet extends nn.Module {
  features = new nn.Sequential(
    new nn.Conv2d(1, 32, 3, { padding: 1 }),
    new nn.GELU(),
    new nn.Conv2d(32, 64, 3, { padding: 1 }),
    new nn.GELU(),
    new nn.AvgPool2d(2),
    new nn.Dropout(0.25),
    new nn.Conv2d(64, 128, 3, { padding: 1 }),
    new nn.GELU(),
  );
  classifier = new nn.Sequential(
    new nn.Flatten(),
    new nn.Dropout(0.5),
    new nn.Linear(128 * 4 * 4, 128),
    new nn.GELU(),
    new nn.Dropout(0.25),
    new nn.Linear(128, 10),
  );

  /** Images [N, 1, 8, 8] with pixels in 0..1 → logits [N, 10]. */
  forward(x: Tensor): Tensor {
    return this.classifier(this.features(x));
  }
}
