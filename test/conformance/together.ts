/** Several at once: on a device that compiles its kernels, cases that are under way together have theirs compiled together. */

/** Runs `work` on every item, at most `most` of them at a time, begun in their order. */
export async function together<T>(items: readonly T[], most: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, lane));
}
