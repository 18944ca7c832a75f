using LongformerInterop.Torch.Interop;

namespace LongformerInterop.Torch.Tests;

/// <summary>The choice of a libtorch, and messages where there is none.</summary>
[TestFixture]
public class LocatorTests
{
    private TestFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TestFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [Test]
    public void The_loaded_one_comes_before_all()
    {
        string named = Libtorch("named"), beside = Libtorch("beside");
        string loaded = Path.Combine(_folder.Path, "elsewhere", LibtorchLocator.CpuName);
        Assert.That(Find([loaded, "/usr/lib/libother.so"], Path.GetDirectoryName(named), Path.GetDirectoryName(beside)!), Is.EqualTo(loaded));
    }

    [Test]
    public void LIBTORCH_comes_before_the_folders()
    {
        string named = Libtorch("named"), inner = Libtorch("distribution/lib"), beside = Libtorch("beside");
        Assert.That(Find([], _folder["named"], _folder["beside"]), Is.EqualTo(named));
        Assert.That(Find([], _folder["distribution"], _folder["beside"]), Is.EqualTo(inner));
        Assert.That(Find([], null, _folder["absent"], _folder["beside"]), Is.EqualTo(beside));
        Assert.That(Find([], "", _folder["beside"]), Is.EqualTo(beside));
    }

    [Test]
    public void A_version_may_end_its_name()
    {
        Assume.That(OperatingSystem.IsLinux());
        Libtorch("versions", "libtorch_cpu.so.2.9");
        string newest = Libtorch("versions", "libtorch_cpu.so.2.14");
        Libtorch("versions", "libtorch_cpu.so.2.10");
        Libtorch("versions", "libtorch_cpu.so.txt");
        Assert.That(Find([], _folder["versions"]), Is.EqualTo(newest));
        string plain = Libtorch("versions");
        Assert.That(Find([], _folder["versions"]), Is.EqualTo(plain));
        Assert.That(Find([newest], null), Is.EqualTo(newest), "loaded");
    }

    [Test]
    public void None_at_all_is_told_with_every_place() =>
        Refused(() => Find([], null, _folder["a"], _folder["b"]), "libtorch is not found", "LIBTORCH is not set",
            Path.Combine(_folder.Path, "a", LibtorchLocator.CpuName), Path.Combine(_folder.Path, "b", LibtorchLocator.CpuName), "libtorch-cpu");

    [Test]
    public void Two_loaded_ones_are_refused()
    {
        string[] two = [Path.Combine(_folder.Path, "a", LibtorchLocator.CpuName), Path.Combine(_folder.Path, "b", LibtorchLocator.CpuName)];
        Refused(() => Find(two, null), "2 different libtorch", two[0], two[1]);
    }

    [Test]
    public void LIBTORCH_must_name_a_folder_with_libtorch()
    {
        string library = Libtorch("named");
        string beside = Path.GetDirectoryName(Libtorch("beside"))!;
        string empty = Directory.CreateDirectory(_folder["empty"]).FullName;
        Refused(() => Find([], library, beside), "LIBTORCH names a file", library, "expected a folder");
        Refused(() => Find([], _folder["absent"], beside), "does not exist", _folder["absent"]);
        Refused(() => Find([], empty, beside), empty, $"no {LibtorchLocator.CpuName}", Path.Combine(empty, "lib"));
        Assert.That(() => LibtorchLocator.Find([], empty, [beside], new Locked()), Throws.TypeOf<TorchException>()
            .With.Message.Contains("cannot be read").And.Message.Contains(empty).And.Message.Contains("denied"));
    }

    [Test]
    public void An_old_one_is_refused_by_its_version()
    {
        string old = Libtorch("old/lib");
        File.WriteAllText(Path.Combine(_folder.Path, "old", "build-version"), "1.13.1+cpu\n");
        Refused(() => Find([], _folder["old"]), "1.13.1", old, "too old", "2.10");
        string python = Libtorch("torch/lib");
        File.WriteAllText(Path.Combine(_folder.Path, "torch", "version.py"),
            "from typing import Optional\n__version__ = '2.9.0+cu128'\ndebug = False\n");
        Refused(() => Find([], null, Path.Combine(_folder.Path, "torch", "lib")), "2.9.0", python, "too old");
        if (OperatingSystem.IsLinux())
        {
            string debian = Libtorch("debian", "libtorch_cpu.so.1.13");
            Refused(() => Find([], _folder["debian"]), "1.13", debian, "too old");
        }
        File.WriteAllText(Path.Combine(_folder.Path, "old", "build-version"), "2.10.0+cpu\n");
        Assert.That(Find([], _folder["old"]), Is.EqualTo(old));
    }

    [Test]
    public void One_that_lacks_the_functions_is_refused_once_loaded() =>
        Refused(() => LibtorchLocator.Open(NativeLibraries.Locate("longformer_ops")), "too old", "2.10");

    [Test]
    public void A_broken_one_is_told_and_not_passed_over()
    {
        string path = Libtorch("broken");
        string beside = Path.GetDirectoryName(Libtorch("beside"))!;
        void Is(byte[] content, params string[] words)
        {
            File.WriteAllBytes(path, content);
            Refused(() => Find([], null, _folder["broken"], beside), [path, .. words]);
            Refused(() => Find([], _folder["broken"], beside), [path, .. words]);
        }
        Is([], "is empty");
        Is("text that is no library"u8.ToArray(), "is not a library");
        byte[] whole = Head();
        Is(whole[..20], "truncated");
        byte[] foreign = Head(machine: OperatingSystem.IsWindows() ? 0xAA64 : 183);
        Is(foreign, "another processor", "Arm64", "x64");
        byte[] cut = Head();
        BitConverter.TryWriteBytes(cut.AsSpan(OperatingSystem.IsWindows() ? OfSections + 16 : 40), 1_000_000);
        Is(cut, "truncated");
    }

    [Test]
    public void The_loader_itself_refuses_what_only_looks_like_a_library() =>
        Refused(() => LibtorchLocator.Open(Libtorch("hollow")), "cannot be loaded", "hollow");

    [Test]
    public void The_own_library_is_told_with_the_places_searched()
    {
        Assert.That(() => NativeLibraries.Locate("longformer_none", _folder.Path, AppContext.BaseDirectory, []),
            Throws.TypeOf<TorchException>().With.Message.Contains(_folder.Path).And.Message.Contains("LONGFORMER_NATIVE_DIR"));
        string runtimes = _folder["runtimes"];
        Assert.That(() => NativeLibraries.Locate("longformer_none", null, _folder.Path, [runtimes]),
            Throws.TypeOf<TorchException>().With.Message.Contains("longformer_none").And.Message.Contains(runtimes));
        Directory.CreateDirectory(runtimes);
        string library = Path.Combine(runtimes, OperatingSystem.IsWindows() ? "longformer_none.dll" : "liblongformer_none.so");
        File.WriteAllText(library, "");
        Assert.That(NativeLibraries.Locate("longformer_none", null, _folder.Path, [runtimes]), Is.EqualTo(library));
    }

    [Test]
    public void The_libraries_of_this_process_are_seen()
    {
        _ = TorchRuntime.Version;
        Assert.That(LoadedLibraries.Paths(), Has.Some.Contains(LibtorchLocator.CpuName).And.Some.Contains("longformer_ops"));
    }

    private static string Find(IEnumerable<string> loaded, string? variable, params string[] folders) =>
        LibtorchLocator.Find(loaded, variable, folders, Folder.System);

    private static void Refused(Action call, params string[] words)
    {
        string message = Assert.Throws<TorchException>(call)!.Message;
        foreach (string word in words)
            Assert.That(message, Does.Contain(word));
    }

    /// <summary>A file that has the head of a library, and no more.</summary>
    private string Libtorch(string folder, string? name = null)
    {
        string path = Path.Combine(Directory.CreateDirectory(_folder[folder]).FullName, name ?? LibtorchLocator.CpuName);
        File.WriteAllBytes(path, Head());
        return path;
    }

    private const int OfHeader = 64, OfSections = OfHeader + 24;

    private static byte[] Head(int? machine = null)
    {
        byte[] head = new byte[512];
        if (OperatingSystem.IsWindows())
        {
            (head[0], head[1], head[0x3C]) = ((byte)'M', (byte)'Z', OfHeader);
            "PE\0\0"u8.CopyTo(head.AsSpan(OfHeader));
            BitConverter.TryWriteBytes(head.AsSpan(OfHeader + 4), (ushort)(machine ?? 0x8664));
            BitConverter.TryWriteBytes(head.AsSpan(OfHeader + 6), (ushort)1);
            return head;
        }
        "\u007FELF"u8.CopyTo(head);
        head[4] = 2;
        BitConverter.TryWriteBytes(head.AsSpan(18), (ushort)(machine ?? 62));
        return head;
    }

    private sealed record Locked : Folder
    {
        public override IEnumerable<string> Files(string folder) => throw new UnauthorizedAccessException($"Access to {folder} is denied.");
    }
}
