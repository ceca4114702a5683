"""How the page looks; follows the light or dark setting of the browser."""

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2330; --soft: #566074; --line: #dfe4ec; --panel: #f5f7fa;
  --accent: #0b5cad; --in: #0f6b46; --out: #6d3cb0; --need: #a1350b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12161d; --ink: #e4e9f1; --soft: #9aa6b8; --line: #2b3341; --panel: #1a202a;
    --accent: #7db7f5; --in: #6ad3a3; --out: #c3a2f3; --need: #f2a27f;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1.5rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
a { color: var(--accent); text-underline-offset: .15em; }
code, pre { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; }
code { font-size: .88em; overflow-wrap: anywhere; }
:not(pre) > code { background: var(--panel); padding: .1em .3em; border-radius: 4px; }
.page { display: grid; grid-template-columns: 15rem minmax(0, 1fr); gap: 3rem;
  max-width: 82rem; margin: 0 auto; padding: 0 2rem; }
nav { position: sticky; top: 0; align-self: start; max-height: 100vh; overflow-y: auto;
  padding: 2.6rem 0 2rem; font-size: .92rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li ul { padding-left: .9rem; border-left: 1px solid var(--line); margin: .2rem 0 .7rem .1rem; }
nav a { display: block; padding: .18rem 0; color: var(--soft); text-decoration: none;
  overflow-wrap: anywhere; }
nav a:hover { color: var(--accent); }
nav > ul > li > a { color: var(--ink); font-weight: 600; }
main { padding: 2.4rem 0 5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.4rem; line-height: 1.3; margin: 3.4rem 0 .6rem; padding-top: 1.6rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.12rem; margin: 2.4rem 0 .3rem; }
h4 { font-size: .95rem; margin: 1.7rem 0 .5rem; color: var(--soft); font-weight: 600; }
h2 a, h3 a, h4 a { color: inherit; text-decoration: none; }
h2 a:hover, h3 a:hover, h4 a:hover { text-decoration: underline; }
p { margin: .6rem 0; max-width: 46rem; }
.version { color: var(--soft); margin: .4rem 0 1.4rem; }
.badge { display: inline-block; font-size: .74rem; font-weight: 600; letter-spacing: .03em;
  border: 1px solid currentColor; border-radius: 99px; padding: .08rem .6rem; }
.receive { color: var(--in); } .send { color: var(--out); }
.flow { display: grid; grid-template-columns: 1fr auto 1fr auto 1fr; align-items: center;
  gap: .4rem .9rem; margin: 1.6rem 0; max-width: 52rem; }
.flow > div { border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem;
  background: var(--panel); overflow-wrap: anywhere; }
.flow code { background: none; padding: 0; font-weight: 600; }
.flow small { display: block; color: var(--soft); }
.flow .answers { display: grid; gap: .6rem; border: 0; padding: 0; background: none; }
.flow .answers div { border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem;
  background: var(--panel); }
.flow .arrow { color: var(--soft); font-size: 1.3rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1.4rem;
  margin: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .8rem;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; background: var(--panel); color: var(--soft); font-weight: 600;
  font-size: .8rem; }
tbody th { font-weight: 400; white-space: nowrap; }
tbody tr:target { background: var(--panel); outline: 2px solid var(--accent);
  outline-offset: -2px; }
.type { white-space: nowrap; } .type small, .rules { color: var(--soft); }
td p { margin: 0 0 .25rem; } td p:last-child { margin: 0; }
td ul { margin: .2rem 0; padding-left: 1.1rem; }
.required { color: var(--need); font-weight: 600; font-size: .82rem; }
.optional { color: var(--soft); font-size: .82rem; }
summary { cursor: pointer; color: var(--accent); }
pre { user-select: all; background: var(--panel); border: 1px solid var(--line); border-radius: 8px;
  padding: .9rem 1.1rem; overflow: auto; max-height: 32rem; margin: .6rem 0; line-height: 1.45; }
pre code { font-size: .84rem; overflow-wrap: normal; }
footer { margin-top: 4rem; padding-top: 1.2rem; border-top: 1px solid var(--line);
  color: var(--soft); font-size: .9rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 60rem) {
  .page { display: block; padding: 0 1.1rem; }
  nav { position: static; max-height: none; padding: 1.4rem 0 0; }
  main { padding-top: 1.4rem; }
  .flow { grid-template-columns: 1fr; } .flow .arrow { transform: rotate(90deg); width: 1.3rem; }
}
@media (max-width: 44rem) {
  table, tbody { display: block; } thead { display: none; }
  tbody tr { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .1rem .8rem;
    padding: .6rem .8rem; border-top: 1px solid var(--line); }
  tbody tr:first-child { border-top: 0; }
  th, td { padding: 0; border: 0; } tbody th, .type { white-space: normal; }
  tbody th, td:last-child { grid-column: 1 / -1; }
}
@media print { nav { display: none; } .page { display: block; } pre { max-height: none; } }
"""
