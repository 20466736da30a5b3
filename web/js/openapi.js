// The API, as openapi.yaml describes it: every call can be tried against this suite.

const dark = matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);

dress();
dark.addEventListener("change", dress);
globalThis.SwaggerUIBundle({
  domNode: document.getElementById("api"),
  url: "/openapi.yaml",
  validatorUrl: null, // nobody elsewhere is asked
  docExpansion: "none",
  deepLinking: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
});
