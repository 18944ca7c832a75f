namespace LongformerInterop.Checkpoints.Interop;

/// <summary>
/// Puts files in the place of others that may be mapped, by this process or another. Linux lets the old one live on without a name.
/// Windows neither replaces nor deletes a mapped file, but renames it: there it is moved aside, and deleted as soon as nobody maps it.
/// </summary>
internal static class Replacement
{
    private const string Aside = ".old";

    /// <summary>Renames a file, over another of that name where there is one.</summary>
    internal static void Move(string file, string target)
    {
        try
        {
            File.Move(file, target, overwrite: true);
        }
        catch (Exception e) when (IsHeld(e, target))
        {
            string aside = SetAside(target);
            try
            {
                File.Move(file, target);
            }
            catch
            {
                File.Move(aside, target);
                throw;
            }
        }
        RemoveOld(target);
    }

    /// <summary>Removes a file.</summary>
    internal static void Delete(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception e) when (IsHeld(e, file))
        {
            SetAside(file);
        }
        RemoveOld(file);
    }

    private static bool IsHeld(Exception e, string file) =>
        OperatingSystem.IsWindows() && (e is IOException or UnauthorizedAccessException) && File.Exists(file);

    private static string SetAside(string file)
    {
        string aside = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file))!, $".{Path.GetFileName(file)}.{Path.GetRandomFileName()}{Aside}");
        File.Move(file, aside);
        return aside;
    }

    // Also what earlier calls had to leave.
    private static void RemoveOld(string file)
    {
        if (!OperatingSystem.IsWindows())
            return;
        foreach (string old in Directory.GetFiles(Path.GetDirectoryName(Path.GetFullPath(file))!, $".{Path.GetFileName(file)}.*{Aside}"))
        {
            try
            {
                File.Delete(old);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Somebody maps it still.
            }
        }
    }
}
