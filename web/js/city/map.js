// A map of the city in an element of the page: the city, ways, pins, and whoever moves.

import * as L from "/vendor/leaflet/dist/leaflet-src.esm.js";
import { call, persist } from "../api.js";
import { MoversLayer } from "./movers.js";
import { CityLayer } from "./paint.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const latLng = ({ lat, lon }) => L.latLng(lat, lon);

/** The rest of a way, wide and with an edge, so that it shows on light and dark streets. */
class Way {
  constructor(map, className) {
    this.lines = ["way-edge", "way"].map((name) =>
      L.polyline([], { className: `${name} ${className}`, interactive: false, smoothFactor: 0, pane: "ways" }).addTo(map));
  }

  set(path) {
    for (const line of this.lines) line.setLatLngs(path.map(latLng));
  }
}

/**
 * Opens the map. `place(point)` hears where a person points: a click, or Enter on the map, which means its middle.
 * Resolves to { leaflet, movers, city, way(className), pin(className, letter), show(points), bounds() }.
 */
export async function openMap(container, { place = () => {} } = {}) {
  const city = await persist(20, () => call("GET", "/v1/city", undefined, { cache: "default" }));
  const [west, south, east, north] = city.bbox;
  const extent = L.latLngBounds([south, west], [north, east]);
  const map = L.map(container, {
    zoomSnap: 0.25,
    zoomDelta: 0.75,
    wheelPxPerZoomLevel: 110,
    maxZoom: 18.5,
    maxBounds: extent.pad(0.6),
    maxBoundsViscosity: 0.8,
    attributionControl: false,
    zoomControl: false,
    fadeAnimation: false,
    zoomAnimation: !still.matches,
    inertia: !still.matches,
  });
  map.fitBounds(extent, { animate: false });
  map.setMinZoom(Math.min(13, map.getZoom() - 0.5));
  L.control.zoom({ position: "bottomright" }).addTo(map);
  L.control.scale({ position: "bottomright", imperial: false }).addTo(map);
  for (const [name, z] of [["city", 200], ["ways", 400], ["movers", 450]]) {
    map.createPane(name).style.zIndex = z;
  }
  new CityLayer(city, { pane: "city" }).addTo(map);
  const movers = new MoversLayer({ pane: "movers" }).addTo(map);

  const tell = (point) => place({ lat: point.lat, lon: point.lng });
  map.on("click", (event) => tell(event.latlng));
  container.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === container) tell(map.getCenter());
  });
  new ResizeObserver(() => map.invalidateSize({ animate: false, pan: false })).observe(container);

  return {
    leaflet: map,
    movers,
    city,
    way: (className) => new Way(map, className),

    /** A pin that is not there until it is set to a point; null takes it away. */
    pin(className, letter) {
      const icon = L.divIcon({ className: `pin ${className}`, html: "", iconSize: [28, 36], iconAnchor: [14, 35] });
      const marker = L.marker([0, 0], { icon, interactive: false, keyboard: false });
      return (point) => {
        if (point === null) {
          marker.remove();
          return;
        }
        marker.setLatLng(latLng(point)).addTo(map);
        marker.getElement().textContent = letter;
      };
    },

    /** Moves so that all these places are in view, beside what lies over the map. */
    show(points, { padding = [60, 60], least = 17 } = {}) {
      if (points.length === 0) return;
      const over = container.parentElement.querySelector("[data-over-map]")?.getBoundingClientRect();
      const box = container.getBoundingClientRect();
      const beside = over && over.width < 0.6 * box.width;
      map.flyToBounds(L.latLngBounds(points.map(latLng)), {
        paddingTopLeft: [padding[0] + (beside ? over.right - box.left : 0), padding[1]],
        paddingBottomRight: padding,
        maxZoom: least,
        animate: !still.matches,
        duration: 0.8,
      });
    },

    /** What is in view, as GeoJSON has it. */
    bounds() {
      const b = map.getBounds();
      return [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()].map((n) => n.toFixed(5)).join(",");
    },
  };
}
