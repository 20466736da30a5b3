// What this browser keeps between visits. One that keeps nothing still works: then it lasts as long as the page.

const PREFIX = "insideout.";
const memory = new Map();

/** What was kept under a name, or null. */
export function kept(name) {
  try {
    const text = localStorage.getItem(PREFIX + name) ?? memory.get(name);
    return text === undefined || text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

export function keep(name, value) {
  const text = JSON.stringify(value);
  memory.set(name, text);
  try {
    localStorage.setItem(PREFIX + name, text);
  } catch {
    // full, or forbidden
  }
}

export function forget(name) {
  memory.delete(name);
  try {
    localStorage.removeItem(PREFIX + name);
  } catch {
    // forbidden
  }
}
