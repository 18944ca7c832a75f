using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace LongformerInterop.Torch.Interop;

/// <summary>A libtorch in this process.</summary>
/// <param name="Handle">Of libtorch_cpu.</param>
/// <param name="Path">Of libtorch_cpu.</param>
/// <param name="CudaPath">Of libtorch_cuda beside it; null where there is none.</param>
/// <param name="CudaFailure">Why that cannot be loaded; null where it is.</param>
internal sealed record LoadedLibtorch(nint Handle, string Path, string? CudaPath, string? CudaFailure);

/// <summary>
/// Finds the one libtorch that this process is to use, in this order: the one that is loaded already (Python's, TorchSharp's); the folder
/// that LIBTORCH names, and nothing else then; beside the program or its native library, and in NuGet's folders of native files; in a
/// clone of the project artifacts/libtorch. One that is found and cannot be used is an error: none is passed over in silence.
/// </summary>
internal static partial class LibtorchLocator
{
    public const string Variable = "LIBTORCH";

    public static readonly Version Oldest = new(2, 10);

    public static string CpuName => OperatingSystem.IsWindows() ? "torch_cpu.dll" : "libtorch_cpu.so";

    public static string CudaName => OperatingSystem.IsWindows() ? "torch_cuda.dll" : "libtorch_cuda.so";

    /// <summary>Finds and loads it.</summary>
    /// <exception cref="TorchException">There is none, or it cannot be used; the message says where it was looked for.</exception>
    public static LoadedLibtorch Load()
    {
        string path = Find(LoadedLibraries.Paths(), Environment.GetEnvironmentVariable(Variable), NativeLibraries.Folders(), Folder.System);
        nint handle = Open(path);
        (string? cuda, string? failure) = OpenCuda(path);
        return new(handle, path, cuda, failure);
    }

    /// <summary>Returns the file of libtorch_cpu to use, checked as far as possible without loading it.</summary>
    /// <param name="loaded">The libraries of this process.</param>
    /// <param name="variable">The value of LIBTORCH.</param>
    /// <param name="folders">Where else to look, in order.</param>
    /// <param name="system">Reads folders.</param>
    internal static string Find(IEnumerable<string> loaded, string? variable, IReadOnlyList<string> folders, Folder system)
    {
        string[] present = [.. loaded.Where(p => IsCpu(Path.GetFileName(p)))];
        if (present.Length > 1)
        {
            throw new TorchException(
                $"this process has loaded {present.Length} different libtorch: {string.Join(" and ", present)}. Only one can be used; " +
                                     $"start with {Variable} naming the folder of the other program's libtorch");
        }
        if (present.Length == 1)
            return present[0];
        if (!string.IsNullOrEmpty(variable))
            return FromVariable(variable, system);
        List<string> looked = [];
        foreach (string folder in folders)
        {
            looked.Add(Path.Combine(folder, CpuName));
            if (system.Exists(folder) && In(folder, system) is { } found)
                return Checked(found, system);
        }
        throw new TorchException(
            $"libtorch is not found: this process has loaded none, {Variable} is not set, and there is no {string.Join(", no ", looked)}. " +
                                 $"Add the package libtorch-cpu (2.10 or later), or set {Variable} to the folder of a libtorch");
    }

    /// <summary>Loads libtorch_cpu, or gives the one that is loaded.</summary>
    internal static nint Open(string path)
    {
        nint handle;
        try
        {
            handle = NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new TorchException($"libtorch cannot be loaded from {path}: {e.Message}", e);
        }
        if (!NativeLibrary.TryGetExport(handle, Libtorch.NewestFunction, out _))
            throw TooOld(path, VersionOf(path, Folder.System));
        return handle;
    }

    private static (string? Path, string? Failure) OpenCuda(string cpu)
    {
        string folder = Path.GetDirectoryName(cpu)!;
        string? path = Newest(Folder.System.Files(folder).Where(p => IsNamed(Path.GetFileName(p), CudaName)));
        if (path is null)
            return (null, null);
        try
        {
            NativeLibrary.Load(path);
            return (path, null);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            return (path, e.Message);
        }
    }

    private static string FromVariable(string variable, Folder system)
    {
        string folder = Path.GetFullPath(variable), inner = Path.Combine(folder, "lib");
        string expected = $"expected a folder with {CpuName} or lib/{CpuName}";
        if (system.IsFile(folder))
            throw new TorchException($"{Variable} names a file, {folder}: {expected}");
        if (!system.Exists(folder))
            throw new TorchException($"{Variable} names {folder}, which does not exist: {expected}");
        try
        {
            string? found = In(folder, system) ?? (system.Exists(inner) ? In(inner, system) : null);
            return found is not null ? Checked(found, system)
                : throw new TorchException($"{Variable} names {folder}, and there is no {CpuName} in it and none in {inner}");
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException)
        {
            throw new TorchException($"{Variable} names {folder}, which cannot be read: {e.Message}", e);
        }
    }

    private static string Checked(string path, Folder system)
    {
        if (LibraryFile.Fault(path) is { } fault)
            throw new TorchException($"libtorch cannot be loaded: {path} {fault}");
        return VersionOf(path, system) is { } version && version < Oldest ? throw TooOld(path, version) : path;
    }

    private static TorchException TooOld(string path, Version? version) =>
        new($"libtorch {(version is null ? "" : version + " ")}in {path} is too old: {Oldest} or later is needed");

    // Old ones have no function for their version; the files around them name it.
    internal static Version? VersionOf(string path, Folder system)
    {
        string folder = Path.GetDirectoryName(path)!, above = Path.GetDirectoryName(folder) ?? folder;
        foreach (string file in (string[])[Path.Combine(above, "build-version"), Path.Combine(folder, "build-version"),
            Path.Combine(above, "version.py")])
        {
            if (system.Text(file) is { } text && ReadVersion(text) is { } version)
                return version;
        }
        return ReadVersion(Path.GetFileName(path)[CpuName.Length..])
            ?? ReadVersion(Path.GetFileName(system.Target(path)).Replace(CpuName, "", StringComparison.Ordinal));
    }

    private static Version? ReadVersion(string text) =>
        VersionPattern().Match(text) is { Success: true } match && Version.TryParse(match.Value, out Version? version) ? version : null;

    private static string? In(string folder, Folder system) => Newest(system.Files(folder).Where(p => IsCpu(Path.GetFileName(p))));

    // The plain name first, then the highest version.
    private static string? Newest(IEnumerable<string> paths) =>
        paths.OrderBy(p => p.Length > 0 && ReadVersion(Path.GetFileName(p)) is not null)
            .ThenByDescending(p => ReadVersion(Path.GetFileName(p))).FirstOrDefault();

    /// <summary>Whether a file of this name is libtorch_cpu.</summary>
    internal static bool IsCpu(string name) => IsNamed(name, CpuName);

    private static bool IsNamed(string name, string expected) => OperatingSystem.IsWindows()
        ? name.Equals(expected, StringComparison.OrdinalIgnoreCase)
        : name == expected || (name.StartsWith(expected + ".", StringComparison.Ordinal) && ReadVersion(name) is not null);

    [GeneratedRegex(@"\d+\.\d+(\.\d+)?", RegexOptions.CultureInvariant)]
    private static partial Regex VersionPattern();
}

/// <summary>How folders and files are read; tests put something else in its place.</summary>
internal record Folder
{
    public static Folder System { get; } = new();

    public virtual bool Exists(string folder) => Directory.Exists(folder);

    public virtual bool IsFile(string path) => File.Exists(path);

    public virtual IEnumerable<string> Files(string folder) => Directory.EnumerateFiles(folder);

    public virtual string? Text(string path) => File.Exists(path) ? File.ReadAllText(path) : null;

    /// <summary>The file itself, where the path is a link.</summary>
    public virtual string Target(string path) => File.ResolveLinkTarget(path, returnFinalTarget: true)?.FullName ?? path;
}
