using System.Text;

namespace Orthrus.Tensor.Cuda;

/// <summary>A GPU that the driver sees.</summary>
/// <param name="Ordinal">Its number under CUDA_VISIBLE_DEVICES.</param>
/// <param name="Name">Marketing name.</param>
/// <param name="ComputeCapability">70 for 7.0.</param>
/// <param name="Multiprocessors">Streaming multiprocessors.</param>
/// <param name="MemoryBytes">Device memory.</param>
public sealed record CudaDeviceInfo(int Ordinal, string Name, int ComputeCapability, int Multiprocessors, long MemoryBytes);

/// <summary>What the driver has: its version and devices. Nothing is allocated on a device.</summary>
public static unsafe class CudaInventory
{
    /// <summary>Asks the installed driver.</summary>
    /// <returns>CUDA version that the driver supports, and its devices.</returns>
    /// <exception cref="CudaException">No driver, or one that refuses: no device (100), link stub (34), mismatched parts (803).</exception>
    public static (Version DriverVersion, IReadOnlyList<CudaDeviceInfo> Devices) Read() => Read(LibCuda.Open());

    internal static (Version DriverVersion, IReadOnlyList<CudaDeviceInfo> Devices) Read(ICudaDriver driver)
    {
        try
        {
            Check("cuInit", driver.Init(0));
            int version, count;
            Check("cuDriverGetVersion", driver.DriverGetVersion(&version));
            Check("cuDeviceGetCount", driver.DeviceGetCount(&count));
            var devices = new CudaDeviceInfo[count];
            for (int i = 0; i < count; i++) devices[i] = ReadDevice(driver, i);
            return (new Version(version / 1000, version % 1000 / 10), devices);
        }
        catch (EntryPointNotFoundException e)
        {
            throw TooOld(driver, e);
        }
    }

    internal static CudaException TooOld(ICudaDriver driver, EntryPointNotFoundException e) =>
        new("dlsym", $"{driver.Name}: {e.Message}: this driver is too old (CUDA 11.8, driver 520, is the oldest); update the NVIDIA driver");

    private static CudaDeviceInfo ReadDevice(ICudaDriver driver, int ordinal)
    {
        int device, major, minor, processors;
        nuint bytes;
        byte* name = stackalloc byte[256];
        Check("cuDeviceGet", driver.DeviceGet(&device, ordinal));
        Check("cuDeviceGetName", driver.DeviceGetName(name, 256, device));
        Check("cuDeviceTotalMem", driver.DeviceTotalMem(&bytes, device));
        Check("cuDeviceGetAttribute", driver.DeviceGetAttribute(&major, CudaDeviceAttribute.ComputeCapabilityMajor, device));
        Check("cuDeviceGetAttribute", driver.DeviceGetAttribute(&minor, CudaDeviceAttribute.ComputeCapabilityMinor, device));
        Check("cuDeviceGetAttribute", driver.DeviceGetAttribute(&processors, CudaDeviceAttribute.MultiprocessorCount, device));
        var text = new ReadOnlySpan<byte>(name, 256);
        int end = text.IndexOf((byte)0);
        return new(ordinal, Encoding.UTF8.GetString(end < 0 ? text : text[..end]), 10 * major + minor, processors, checked((long)bytes));
    }

    private static void Check(string call, CudaResult result)
    {
        if (result != CudaResult.Success) throw new CudaException(call, result);
    }
}
