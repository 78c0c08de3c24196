/** A Python that has a package, for tests of what others make of our files. */

import { spawnSync } from "node:child_process";

/** The command of a Python that can import it; null, said loudly, where there is none. */
export function pythonWith(name: string): string | null {
  const commands = [process.env.PYTHON, "python3", "/usr/bin/python3"].filter((x) => x !== undefined && x !== "");
  for (const command of commands) {
    if (spawnSync(command!, ["-c", `import ${name}`], { stdio: "ignore" }).status === 0) return command!;
  }
  console.warn(
    `NOT TESTED: what Python's ${name} makes of our files. None of ${commands.join(", ")} has it (apt install python3-${name}, or set PYTHON).`,
  );
  return null;
}
