const config = THEME;

async function load() {
  const bytes = Uint8Array.from(atob(document.getElementById("bundle").textContent), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.type = "module";
  script.textContent = (await new Response(unpacked).text()) + '\ndispatchEvent(new Event("vega-loaded"));';
  const loaded = new Promise((resolve) => addEventListener("vega-loaded", resolve, { once: true }));
  document.body.append(script);
  await loaded;
}

await load();
const specs = JSON.parse(document.getElementById("specs").textContent);
const places = [...document.querySelectorAll("[data-chart]")];
const options = { actions: false, ast: true, renderer: "svg", config };
await Promise.all(places.map((place) => vegaEmbed(place, specs[place.dataset.chart], options)));
document.body.dataset.charts = places.length;
