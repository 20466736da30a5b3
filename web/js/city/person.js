// Who sits before this page. There is no login: an id and a name, kept by the browser, or told in the address (?id=&name=).

import { call, isId, persist } from "../api.js";
import { keep, kept } from "../kept.js";

const NAMES = ["Ada", "Bela", "Carmen", "Dario", "Elif", "Femi", "Greta", "Hana", "Ivo", "Jun", "Kofi", "Lena", "Mira", "Noor",
  "Olga", "Paulo", "Quinn", "Rosa", "Sami", "Tove", "Umi", "Vera", "Wanda", "Xenia", "Yara", "Zoe"];

const pick = (list) => list[Math.floor(Math.random() * list.length)];

/** { id, name, rename(name) } for a role: "rider" or "driver". */
export function person(role) {
  const asked = new URLSearchParams(location.search);
  const before = kept(role);
  const id = isId(asked.get("id")) ? asked.get("id") : before?.id ?? `${role}-${crypto.randomUUID().slice(0, 8)}`;
  const who = {
    id,
    name: asked.get("name")?.trim().slice(0, 60) || (before?.id === id ? before.name : pick(NAMES)),
    rename(name) {
      who.name = name.trim().slice(0, 60) || who.name;
      if (asked.has("id")) return; // only for this window
      keep(role, { id: who.id, name: who.name });
    },
  };
  who.rename(who.name);
  return who;
}

/** Somewhere in the city: ?at=lat,lon, or any street. Resolves to { name, lat, lon }. */
export async function somewhere() {
  const at = new URLSearchParams(location.search).get("at")?.split(",").map(Number);
  if (at?.length === 2 && at.every(Number.isFinite)) return { name: null, lat: at[0], lon: at[1] };
  const { streets } = await persist(10, () => call("GET", "/v1/city/streets?limit=1000"));
  return pick(streets.filter(({ kind }) => kind === "street"));
}
