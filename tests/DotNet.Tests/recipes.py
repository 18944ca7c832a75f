"""Makes a method of every recipe of docs/dotnet.md: recipes.py DOTNET.md OUTPUT.cs"""
import re
import sys

text = open(sys.argv[1], encoding="utf-8").read()
usings, methods = set(), []
for number, title, code in re.findall(r"^## (\d+)\. (.+?)\n.*?^```csharp\n(.*?)^```$", text, re.M | re.S):
    lines = code.splitlines()
    here = [line for line in lines if re.match(r"using [\w.]+;$", line)]
    body = "\n".join("            " + line if line else "" for line in lines if line not in here).strip("\n")
    methods.append((number, title, here, body))
with open(sys.argv[2], "w", encoding="utf-8") as out:
    for number, title, here, body in methods:
        # A namespace each, as the files that readers make of them.
        out.write(f"namespace Recipe{number}\n{{\n    using System;\n    using System.IO;\n    using System.Threading.Tasks;\n")
        out.writelines("    " + line.replace("using ", "using global::") + "\n" for line in here)
        out.write(f"    internal static class Recipe\n    {{\n        // {title}\n        public static async Task Run()\n        {{\n{body}\n            await Task.CompletedTask;\n        }}\n    }}\n}}\n")
print(len(methods), "recipes")
