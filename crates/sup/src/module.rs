//! [`Module`]: a ring-0 module that a session loaded.

use std::path::Path;

use sup_abi::request::{
    FreeModule, GetSymbol, GetSymbolIn, HEADER_BYTES, ImageIn, LoadModule, LoadModuleIn,
    LoadModuleOut, padded, terminated,
};
use sup_abi::{IMAGE_BYTES_MAX, IMAGE_NAME_CHARS_MAX, R0Ptr, SERVICE_NAME_CHARS_MAX, Status};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use sup_core::Signer;
use sup_hardened::Violation;

use crate::Session;
use crate::error::{Error, Result};
use crate::image_file::{ANSWER, ImageFile, LEAD};
use crate::policy;
use crate::service::{ServiceModule, ServiceName};

/// A ring-0 module. Dropping it gives the session's reference back.
#[derive(Debug)]
pub struct Module {
    session: Session,
    base: R0Ptr,
    bytes: u32,
    was_loaded: bool,
    signer: Signer,
}

impl Module {
    /// The session that loaded it.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Where the image is, in ring 0.
    pub fn base(&self) -> R0Ptr {
        self.base
    }

    /// Bytes of the image in memory.
    pub fn image_bytes(&self) -> u32 {
        self.bytes
    }

    /// True if it was loaded already, and this is one more reference.
    pub fn was_loaded(&self) -> bool {
        self.was_loaded
    }

    /// By whom the file is signed, as far as this driver knows.
    pub fn signer(&self) -> Signer {
        self.signer
    }

    /// The address of an exported symbol, in ring 0. Corresponds to `SUPR3GetSymbolR0`.
    ///
    /// # Errors
    /// `VERR_SYMBOL_NOT_FOUND`.
    pub fn symbol(&self, name: &str) -> Result<R0Ptr> {
        self.session.symbol_at(self.base, name)
    }

    /// The address of the symbol with a number instead of a name, which `SUPR3GetSymbolR0` permits: modules
    /// are ELF images, and those have none.
    ///
    /// # Errors
    /// `VERR_SYMBOL_NOT_FOUND`, always.
    pub fn symbol_by_ordinal(&self, ordinal: u16) -> Result<R0Ptr> {
        Err(Error::new(
            "GetSymbol",
            Status::VERR_SYMBOL_NOT_FOUND,
            format!("symbols have names here, and no numbers like {ordinal}"),
        ))
    }

    /// Gives the reference back and says how that went. Corresponds to `SUPR3FreeModule`.
    ///
    /// # Errors
    /// `VERR_DANGLING_OBJECTS` if objects live whose destructor lies in the module, and which; it
    /// stays loaded until the session is closed.
    pub fn free(mut self) -> Result<()> {
        self.release()
    }

    /// Gives the reference back, once.
    fn release(&mut self) -> Result<()> {
        let base = std::mem::replace(&mut self.base, R0Ptr::NIL);
        if base.is_nil() {
            return Ok(());
        }
        self.session.free_module_at(base)
    }

    /// Its base, and from now on the reference has no owner.
    pub(crate) fn into_base(mut self) -> R0Ptr {
        std::mem::replace(&mut self.base, R0Ptr::NIL)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Err(error) = self.release() {
            tracing::warn!(target: "supdrv", %error, "a module stays loaded until its session ends");
        }
    }
}

impl Session {
    /// Loads a ring-0 module, with the signature in it or beside it in `FILE.sig`. Corresponds to
    /// `SUPR3LoadModule`.
    ///
    /// # Errors
    /// `VERR_BAD_EXE_FORMAT` with the rule that the file breaks, `VERR_SYMBOL_NOT_FOUND` with the
    /// missing import, `VERR_ALREADY_EXISTS` if other contents are loaded under the name,
    /// `VERR_FILENAME_TOO_LONG`, what `ModuleInit` returned, `VERR_FILE_NOT_FOUND` and
    /// `VERR_ACCESS_DENIED` of the file, `VERR_NO_EXEC_MEMORY`, `VERR_NO_MEMORY`. Of the signature:
    /// `VERR_ACCESS_DENIED` if it is missing, wrong or by a key that the driver does not trust,
    /// `VERR_BAD_EXE_FORMAT` if it is damaged, `VERR_INVALID_PARAMETER` for another name,
    /// `VERR_VERSION_MISMATCH` for a newer driver, `VERR_NOT_SUPPORTED` if the module is not declared
    /// kernel-grade and has to be.
    pub fn load_module(&self, file: impl AsRef<Path>, name: &str) -> Result<Module> {
        self.load_file(read_image(file.as_ref())?, name, "")
    }

    /// Loads a ring-0 module whose function `handler` serves requests. Corresponds to
    /// `SUPR3LoadServiceModule`.
    ///
    /// # Errors
    /// Those of [`Session::load_module`], and `VERR_SYMBOL_NOT_FOUND` if there is no such function.
    pub fn load_service_module(
        &self,
        file: impl AsRef<Path>,
        name: &str,
        handler: &str,
    ) -> Result<ServiceModule> {
        self.load_service_file(read_image(file.as_ref())?, name, handler)
    }

    /// [`Session::load_service_module`] with the image in memory.
    ///
    /// # Errors
    /// Those of [`Session::load_service_module`].
    pub fn load_service_image(
        &self,
        image: &[u8],
        name: &str,
        handler: &str,
    ) -> Result<ServiceModule> {
        self.load_service_file(copied(image)?, name, handler)
    }

    fn load_service_file(
        &self,
        image: ImageFile,
        name: &str,
        handler: &str,
    ) -> Result<ServiceModule> {
        let Some(service_name) = ServiceName::new(name.as_bytes()) else {
            return Err(Error::new(
                LOAD,
                Status::VERR_FILENAME_TOO_LONG,
                format!("the name of a service has at most {SERVICE_NAME_CHARS_MAX} bytes"),
            ));
        };
        if handler.is_empty() {
            return Session::refuse(
                LOAD,
                Status::VERR_INVALID_PARAMETER,
                "a service module needs the name of its request handler",
            );
        }
        Ok(ServiceModule::new(self.load_file(image, name, handler)?, service_name))
    }

    /// [`Session::load_module`] with the image in memory; `handler` is empty for none.
    ///
    /// # Errors
    /// Those of [`Session::load_module`].
    pub fn load_image(&self, image: &[u8], name: &str, handler: &str) -> Result<Module> {
        self.load_file(copied(image)?, name, handler)
    }

    fn load_file(&self, image: ImageFile, name: &str, handler: &str) -> Result<Module> {
        let Some(name_field) = padded(name) else {
            return Err(Error::new(
                LOAD,
                Status::VERR_FILENAME_TOO_LONG,
                format!("the name of a module has at most {IMAGE_NAME_CHARS_MAX} bytes"),
            ));
        };
        let Some(handler_field) = padded(handler) else {
            return Session::refuse(
                LOAD,
                Status::VERR_SYMBOL_NOT_FOUND,
                "the name of the request handler is too long for a symbol",
            );
        };
        let length = image.bytes().len();
        let image_bytes = match u32::try_from(length) {
            Ok(bytes) if bytes <= IMAGE_BYTES_MAX => bytes,
            _ => {
                return Err(Error::new(
                    LOAD,
                    Status::VERR_BAD_EXE_FORMAT,
                    format!("the file has {length} bytes, {IMAGE_BYTES_MAX} are the most"),
                ));
            }
        };
        let input = LoadModuleIn {
            name: name_field,
            handler: handler_field,
            image_bytes,
            reserved: 0,
            reserved2: 0,
        };
        let (status, output) = self.send_image(&input, image)?;
        if status.is_failure() {
            let message = terminated(&output.message).unwrap_or_default();
            return Err(Error::new(LOAD, status, message.to_owned()));
        }
        Ok(Module {
            session: self.clone(),
            base: output.base,
            bytes: output.image_bytes,
            was_loaded: output.was_loaded != 0,
            signer: policy::signer(output.trust, output.signer),
        })
    }

    /// The address of an exported symbol of the module at `base`.
    pub(crate) fn symbol_at(&self, base: R0Ptr, name: &str) -> Result<R0Ptr> {
        let Some(field) = padded(name) else {
            return Err(Error::new(
                "GetSymbol",
                Status::VERR_SYMBOL_NOT_FOUND,
                format!("no symbol has a name like '{}'", name.escape_debug()),
            ));
        };
        let input = GetSymbolIn { base, name: field };
        let output = self.connection().call::<GetSymbol>(&input).map_err(|error| {
            Error::new(error.call(), error.status(), format!("the module exports no '{name}'"))
        })?;
        Ok(output.address)
    }

    /// Gives a reference to the module at `base` back.
    pub(crate) fn free_module_at(&self, base: R0Ptr) -> Result<()> {
        let reply = self.connection().exchange::<FreeModule>(&ImageIn { base })?;
        if reply.status.is_success() {
            return Ok(());
        }
        let message = reply.output.map(|output| output.message);
        let message = message.as_ref().and_then(|field| terminated(field)).unwrap_or_default();
        Err(Error::new("FreeModule", reply.status, message.to_owned()))
    }

    fn send_image(
        &self,
        input: &LoadModuleIn,
        mut image: ImageFile,
    ) -> Result<(Status, LoadModuleOut)> {
        let bytes_in = LEAD + image.bytes().len();
        let packet = image.packet();
        packet[HEADER_BYTES..LEAD].copy_from_slice(input.as_bytes());
        let (status, answered) = self.connection().send::<LoadModule>(packet, bytes_in, ANSWER)?;
        let output = (answered >= ANSWER)
            .then(|| LoadModuleOut::read_from_bytes(&packet[HEADER_BYTES..ANSWER]).ok())
            .flatten();
        Ok((status, output.unwrap_or_else(LoadModuleOut::new_zeroed)))
    }
}

/// An image in memory, ready to be sent.
fn copied(image: &[u8]) -> Result<ImageFile> {
    ImageFile::of(image).map_err(|_| Error::new(LOAD, Status::VERR_NO_TMP_MEMORY, ""))
}

const LOAD: &str = "LoadModule";

pub(crate) fn read_image(file: &Path) -> Result<ImageFile> {
    use std::io::ErrorKind;
    policy::read_image(file).map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Violation>());
        if let Some(violation) = inner {
            return Error::new(LOAD, violation.status(), violation.to_string());
        }
        let status = match error.kind() {
            ErrorKind::OutOfMemory => Status::VERR_NO_TMP_MEMORY,
            ErrorKind::NotFound => Status::VERR_FILE_NOT_FOUND,
            ErrorKind::PermissionDenied => Status::VERR_ACCESS_DENIED,
            ErrorKind::IsADirectory => Status::VERR_IS_A_DIRECTORY,
            _ => Status::VERR_GENERAL_FAILURE,
        };
        Error::new(LOAD, status, format!("{}: {error}", file.display()))
    })
}
