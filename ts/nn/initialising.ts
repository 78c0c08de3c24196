/** Whether layers are initialised. */

export const initialising = { skipped: false };

/** Runs `fn`, in which initialisers do nothing. */
export function withoutInit<T>(fn: () => T): T {
  const before = initialising.skipped;
  initialising.skipped = true;
  try {
    return fn();
  } finally {
    initialising.skipped = before;
  }
}
