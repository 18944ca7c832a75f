using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace LongformerInterop.Torch.Interop;

/// <summary>Where native files are: those of the project, and libtorch's.</summary>
internal static class NativeLibraries
{
    /// <summary>The environment variable that names the folder of the project's native library.</summary>
    public const string FolderVariable = "LONGFORMER_NATIVE_DIR";

    /// <summary>
    /// The absolute path of <c>lib{name}.so</c> or <c>{name}.dll</c>: the one that the process has loaded; in the folder named by
    /// <c>LONGFORMER_NATIVE_DIR</c> if that is set (and nowhere else then), beside the program (compiled ahead of time: beside the library
    /// or program that holds this code), in NuGet's folders of native files, or in <c>artifacts/</c> of the nearest folder above that holds
    /// the solution.
    /// </summary>
    /// <exception cref="TorchException">It is in none of them; the message lists them.</exception>
    public static string Locate(string name)
    {
        string file = FileName(name);
        // A second copy would register the operators a second time, which libtorch does not bear.
        return LoadedLibraries.Paths().FirstOrDefault(p => Path.GetFileName(p) == file)
            ?? Locate(name, Environment.GetEnvironmentVariable(FolderVariable), ProgramFolder(), RuntimeFolders());
    }

    internal static string Locate(string name, string? folder, string programFolder, IEnumerable<string> runtimeFolders)
    {
        string file = FileName(name);
        List<string> candidates = [];
        if (!string.IsNullOrEmpty(folder))
        {
            candidates.Add(Path.GetFullPath(Path.Combine(folder, file)));
        }
        else
        {
            candidates.Add(Path.GetFullPath(Path.Combine(programFolder, file)));
            candidates.AddRange(runtimeFolders.Select(f => Path.GetFullPath(Path.Combine(f, file))));
            if (Clone(programFolder) is { } clone)
                candidates.Add(Path.Combine(clone, "artifacts", file));
        }
        return candidates.Find(File.Exists) ?? throw new TorchException(
            $"native library {file} not found; looked for {string.Join(" and ", candidates.Distinct())}. Build it (cmake -S native -B build/native " +
            $"-G Ninja && ninja -C build/native) or set {FolderVariable} to its folder");
    }

    /// <summary>Where libtorch may be, in order.</summary>
    public static IReadOnlyList<string> Folders()
    {
        string program = ProgramFolder();
        List<string> folders = [program, .. RuntimeFolders()];
        if (Environment.GetEnvironmentVariable(FolderVariable) is { Length: > 0 } named)
            folders.Insert(0, named);
        if (Clone(program) is { } clone)
            folders.Add(Path.Combine(clone, "artifacts", "libtorch"));
        return [.. folders.Select(f => Path.TrimEndingDirectorySeparator(Path.GetFullPath(f))).Distinct()];
    }

    /// <summary>Where the program's other files may be, in order.</summary>
    public static IReadOnlyList<string> ProgramFolders()
    {
        string program = ProgramFolder();
        List<string> folders = [program, Path.Combine(program, "..", "share", "longformer")];
        if (Clone(program) is { } clone)
            folders.Add(clone);
        return [.. folders.Select(f => Path.TrimEndingDirectorySeparator(Path.GetFullPath(f))).Distinct()];
    }

    private static string FileName(string name) => OperatingSystem.IsWindows() ? $"{name}.dll" : $"lib{name}.so";

    // In a library compiled ahead of time AppContext.BaseDirectory is the folder of the host's executable, such as /usr/bin; where pythonnet
    // started .NET it is empty.
    private static string ProgramFolder() => RuntimeFeature.IsDynamicCodeSupported
        ? Named(AppContext.BaseDirectory) ?? Named(AssemblyFolder()) ?? Environment.CurrentDirectory
        : OwnLibrary.Folder() ?? AppContext.BaseDirectory;

    [UnconditionalSuppressMessage("SingleFile", "IL3000", Justification = "A program in a single file has a base directory.")]
    private static string? AssemblyFolder() => Path.GetDirectoryName(typeof(NativeLibraries).Assembly.Location);

    private static string? Named(string? folder) => string.IsNullOrEmpty(folder) ? null : folder;

    // Where the host looks for native files of packages: runtimes/<rid>/native below the program or in NuGet's cache.
    private static IEnumerable<string> RuntimeFolders()
    {
        string listed = AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "";
        string platform = $"{(OperatingSystem.IsWindows() ? "win" : "linux")}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";
        return [.. listed.Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries),
            Path.Combine(ProgramFolder(), "runtimes", platform, "native")];
    }

    private static string? Clone(string programFolder)
    {
        for (DirectoryInfo? above = new(programFolder); above is not null; above = above.Parent)
        {
            if (File.Exists(Path.Combine(above.FullName, "LongformerInterop.sln")))
                return above.FullName;
        }
        return null;
    }
}
