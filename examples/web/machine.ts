/** The state of this machine as chips in the head, and messages about what went wrong. */

import { byId, create } from "./dom.ts";
import type { DeviceName, Environment } from "./protocol.ts";
import { title } from "./controls.ts";

export function showMachine(environment: Environment, device: DeviceName, threads: number): void {
  const list = byId("chips", HTMLUListElement);
  const chip = (text: string, kind: string, hint: string): void => {
    const item = create("li", `chip ${kind}`, text);
    item.title = hint;
    list.append(item);
  };
  list.replaceChildren();
  const state = environment.devices.find(({ name }) => name === device);
  const count = `${threads} ${threads === 1 ? "thread" : "threads"}`;
  chip(device === "cpu" ? `CPU, ${count}` : `${title(device)}: ${state?.detail ?? ""}`, "good", "The device that trains");
  if (environment.isolated) chip("cross-origin isolated", "good", "Shared memory, and with it threads, are allowed");
  else
    chip(
      "not isolated: one thread",
      "warn",
      "Threads need the headers Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy",
    );
  for (const { name, available, detail } of environment.devices) {
    if (name === device || name === "cpu") continue;
    chip(available ? `${title(name)}: ${detail}` : `no ${title(name)}`, available ? "good" : "", detail);
  }
}

/** The banner for errors, with at most one way on. */
export class Banner {
  readonly #banner = byId("banner", HTMLElement);
  readonly #action = byId("banner-action", HTMLButtonElement);
  #run: (() => void) | undefined;

  constructor() {
    byId("banner-close", HTMLButtonElement).addEventListener("click", () => this.hide());
    this.#action.addEventListener("click", () => {
      this.hide();
      this.#run?.();
    });
  }

  show(title: string, text: string, action?: { label: string; run: () => void }): void {
    byId("banner-title", HTMLElement).textContent = title;
    byId("banner-text", HTMLElement).textContent = text;
    this.#action.hidden = action === undefined;
    this.#action.textContent = action?.label ?? "";
    this.#run = action?.run;
    this.#banner.hidden = false;
  }
  hide(): void {
    this.#banner.hidden = true;
  }
}
