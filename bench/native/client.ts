/** Native PyTorch (Debian's python3-torch) as a process that answers with times. */

import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { resolve } from "node:path";

export class Native {
  private constructor(
    private readonly process: ChildProcessWithoutNullStreams,
    private readonly lines: AsyncIterator<string>,
    readonly version: string,
  ) {}

  /** Null, with the reason on the console, where no Python has torch. */
  static async start(threads: number): Promise<Native | null> {
    const script = resolve("bench/native/server.py");
    for (const python of ["/usr/bin/python3", "python3"]) {
      if (python.startsWith("/") && !existsSync(python)) continue;
      const child = spawn(python, [script, String(threads)], { stdio: ["pipe", "pipe", "pipe"] });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const first = await lines.next().catch(() => ({ done: true, value: "" }));
      if (first.done !== true) return new Native(child, lines, (JSON.parse(first.value) as { torch: string }).torch);
    }
    console.log("No native PyTorch to compare with (on Debian: apt-get install python3-torch).");
    return null;
  }

  /** Milliseconds of one run of a case. */
  async time(name: string): Promise<number> {
    this.process.stdin.write(`${name}\n`);
    const { value } = await this.lines.next();
    const answer = JSON.parse(value as string) as { ms?: number; error?: string };
    if (answer.ms === undefined) throw new Error(`native ${name}: ${answer.error}`);
    return answer.ms;
  }

  stop(): void {
    this.process.stdin.end();
  }
}
