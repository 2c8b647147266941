// Runs check.py in Pyodide: node pyodide.mjs PYODIDE ROOT, where PYODIDE is its npm package.
import path from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

const [folder, root] = process.argv.slice(2).map((name) => path.resolve(name));
const { loadPyodide } = await import(pathToFileURL(path.join(folder, "pyodide.mjs")));
const python = await loadPyodide({ indexURL: folder });
python.FS.mkdir("/project");
python.FS.mount(python.FS.filesystems.NODEFS, { root }, "/project");
python.runPython(`
import runpy, sys
print("Python", sys.version.split()[0], "on", sys.platform)
status = runpy.run_path("/project/.ci/pyodide/check.py")["main"]()
`);
process.exit(python.globals.get("status"));
