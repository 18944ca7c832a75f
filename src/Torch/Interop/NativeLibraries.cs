using System.Runtime.CompilerServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>Where the project's two native libraries lie.</summary>
internal static class NativeLibraries
{
    /// <summary>The environment variable that names the folder of the native libraries.</summary>
    public const string FolderVariable = "LONGFORMER_NATIVE_DIR";

    /// <summary>
    /// The absolute path of <c>lib{name}.so</c>: in the folder named by <c>LONGFORMER_NATIVE_DIR</c> if that is set (and nowhere
    /// else then), beside the program (compiled ahead of time: beside the library or program that holds this code), or in <c>artifacts/</c> of the nearest folder above it that holds the solution.
    /// </summary>
    /// <exception cref="TorchException">It lies in none of them; the message lists them.</exception>
    public static string Locate(string name) =>
        Locate(name, Environment.GetEnvironmentVariable(FolderVariable), ProgramFolder());

    // In a library compiled ahead of time AppContext.BaseDirectory is the folder of the host's executable, such as /usr/bin.
    private static string ProgramFolder() => RuntimeFeature.IsDynamicCodeSupported ? AppContext.BaseDirectory : OwnLibrary.Folder() ?? AppContext.BaseDirectory;

    internal static string Locate(string name, string? folder, string programFolder)
    {
        string file = $"lib{name}.so";
        List<string> candidates = [];
        if (!string.IsNullOrEmpty(folder))
        {
            candidates.Add(Path.GetFullPath(Path.Combine(folder, file)));
        }
        else
        {
            candidates.Add(Path.GetFullPath(Path.Combine(programFolder, file)));
            for (DirectoryInfo? above = new(programFolder); above is not null; above = above.Parent)
            {
                if (!File.Exists(Path.Combine(above.FullName, "LongformerInterop.sln"))) continue;
                candidates.Add(Path.Combine(above.FullName, "artifacts", file));
                break;
            }
        }
        return candidates.Find(File.Exists) ?? throw new TorchException(
            $"native library {file} not found; looked for {string.Join(" and ", candidates)}. Build it (cmake -S native -B build/native " +
            $"-G Ninja && ninja -C build/native) or set {FolderVariable} to its folder");
    }
}
